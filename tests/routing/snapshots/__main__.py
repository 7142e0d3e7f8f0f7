"""`make snapshots`."""

from tests.routing.snapshots import write

if __name__ == "__main__":
    write()
