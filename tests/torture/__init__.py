"""Faults at random moments, by the hundred: `python -m tests.torture --help`."""
