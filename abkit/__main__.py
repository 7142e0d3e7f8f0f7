"""`python -m abkit` is the command line too."""

from __future__ import annotations

from abkit.cli import main

if __name__ == "__main__":
    main()
