"""The main job for one experiment: collect, compare, decide."""
