"""The command line. No logic here: parse, call, print; the exit code is the verdict."""

from __future__ import annotations

from abkit.cli.app import app, main

__all__ = ["app", "main"]
