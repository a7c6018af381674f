"""The command line: each command parses words, calls one operation and prints what it came to."""

from penstock.cli.entry import main

__all__ = ["main"]
