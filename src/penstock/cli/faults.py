"""Errors, as the person at the terminal sees them: one paragraph on stderr and an exit status."""

from __future__ import annotations

import sys
import textwrap
import traceback as tracebacks
from pathlib import Path
from types import TracebackType

from penstock.model.errors import NotFound, PenstockError, SettingError
from penstock.model.printable import visible_lines
from penstock.model.redaction import redact, traced

FAILED = 1
USAGE = 2
LONGEST = 2_000
_HINT = "penstock --traceback … shows all of it."


class WrongUse(PenstockError):  # noqa: N818 - reads as what it says
    """What was typed does not fit; the message says what would."""


def report(error: Exception, *, traceback: bool) -> int:
    """Say it on stderr.

    Args:
        error: What was raised.
        traceback: Show where, too.

    Returns:
        The exit status: 2 for what was typed or set wrongly, else 1.
    """
    if traceback:
        say(traced(error))
    elif isinstance(error, PenstockError):
        say(_paragraph(str(error)))
    else:
        place = innermost(error.__traceback__)
        where = f" ({place})" if place else ""
        say(f"{type(error).__name__}: {_paragraph(str(error))}{where}\n{_HINT}")
    return USAGE if isinstance(error, WrongUse | SettingError | NotFound) else FAILED


def say(text: str) -> None:
    """A line for the person, on stderr, so that stdout has data only; without secrets and control characters."""
    sys.stderr.write(f"{visible_lines(redact(text))}\n")
    sys.stderr.flush()


def innermost(trace: TracebackType | None) -> str | None:
    """`file.py:line` of the deepest frame in code of the user's own."""
    found = None
    for frame in tracebacks.extract_tb(trace):
        if is_own(frame.filename):
            found = f"{shown_path(frame.filename)}:{frame.lineno}"
    return found


def is_own(file: str) -> bool:
    """Whether a file is the user's: neither Python's, nor installed, nor Penstock's."""
    path = Path(file)
    if file.startswith("<") or "site-packages" in path.parts:
        return False
    library, package = Path(tracebacks.__file__).parent, Path(__file__).parent.parent
    return library not in path.parents and package not in path.parents


def shown_path(file: str | Path) -> str:
    """A path as one would type it from here."""
    path = Path(file)
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _paragraph(text: str) -> str:
    return textwrap.shorten(" ".join(text.split()), LONGEST, placeholder=" …")
