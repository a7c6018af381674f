"""What every command of medallion shares: its output, and how its errors end it."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable

import psycopg

import penstock as ps

INTERRUPTED = 130
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def say(text: str = "") -> None:
    """A line of a command's own output; names of other people's making cannot forge a line or hide one."""
    sys.stdout.write(f"{_HIDDEN.sub(lambda match: match[0].encode('unicode_escape').decode('ascii'), text)}\n")


def complain(text: str) -> None:
    """An error, in one line on stderr."""
    sys.stderr.write(f"medallion: {' '.join(text.split())}\n")


def run(command: Callable[[], int]) -> int:
    """The exit code of a command: an error that is no fault of the program ends it with one line and 1."""
    steps = logging.getLogger("penstock")  # what steps log is kept in the ledger
    steps.handlers[:] = [logging.NullHandler()]
    logging.getLogger("medallion").addHandler(logging.NullHandler())
    try:
        return command()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; the interpreter must not find that out again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ps.PenstockError, psycopg.Error, OSError) as error:
        complain(str(error) or type(error).__name__)
        return 1


def columns(rows: list[tuple[object, ...]], titles: tuple[str, ...]) -> None:
    """A table."""
    texts = [titles, *(tuple("-" if value is None else str(value) for value in row) for row in rows)]
    widths = [max(len(row[n]) for row in texts) for n in range(len(titles))]
    for row in texts:
        say("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())
