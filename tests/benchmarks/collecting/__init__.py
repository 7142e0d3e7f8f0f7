"""The parts of `tests.benchmarks.collection`: a world, the ways, a server of any size."""
