"""What every command of aegis shares: its output, its log, and how its errors end it."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import psycopg

import penstock as ps
from aegis.institutions import InstitutionsError
from aegis.lock import LockError
from aegis.settings import read_env_file
from aegis.transcripts import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERRUPTED = 130
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
log = logging.getLogger("aegis")


class CommandError(Exception):
    """What a command cannot do: the message says why and what to do."""


def say(text: str = "") -> None:
    """A line of a command's own output."""
    sys.stdout.write(f"{_visible(text)}\n")


def run(command: Callable[[], int]) -> int:
    """The exit code of a command: an error that is no fault of the program ends it with one line and 1."""
    _set_up()
    try:
        return command()
    except KeyboardInterrupt:
        log.error("Interrupted")  # noqa: TRY400 - whoever interrupts it knows where
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does; the interpreter must not find that out again on exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (
        CommandError, InstitutionsError, LockError, SourceError, ps.PenstockError, psycopg.Error, OSError
    ) as error:  # fmt: skip
        log.error("%s", one_line(str(error)) or type(error).__name__)  # noqa: TRY400 - the traceback is for DEBUG
        log.debug("where it happened", exc_info=error)
        return 1


def one_line(text: str) -> str:
    """A message without its line breaks."""
    return " ".join(text.split())


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean RY? `, or nothing where nothing is near."""
    names = list(known)
    found = get_close_matches(word.upper(), names, n=1, cutoff=0.5)
    found = found or [name for name in names if name[:1] == word[:1].upper()][:1]
    return f"did you mean {found[0]}? " if found else ""


class _Plain(logging.Formatter):
    """Records whose control characters are spelled out: a file's or a bank's name cannot forge a line or hide one."""

    def format(self, record: logging.LogRecord) -> str:
        return _visible(super().format(record)).replace("\n", "\n    ")


def _visible(text: str) -> str:
    """The text with escapes for control characters other than line breaks, and for marks that turn the reading."""
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _set_up() -> None:
    """The log on stdout, as the lines of cron's and systemd's journals; what cannot be encoded is replaced."""
    read_env_file()
    output: Any = sys.stdout
    if hasattr(output, "reconfigure"):
        output.reconfigure(errors="replace", line_buffering=True)
    level = os.environ.get("LOG_LEVEL", "INFO").upper()
    handler: logging.Handler = logging.StreamHandler(output)
    handler.setFormatter(_Plain("[%(levelname)s] %(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False
    # A name that is none is refused by the settings, in their own words.
    log.setLevel(level if level in logging.getLevelNamesMapping() else "INFO")
    # Whoever reads the log may go, as `head` does; the run goes on without a traceback for every line.
    logging.raiseExceptions = False
    # What steps log is kept in the ledger; the same again, with tracebacks, is for those who look for a fault.
    steps = logging.getLogger("penstock")
    steps.handlers[:] = [handler if log.isEnabledFor(logging.DEBUG) else logging.NullHandler()]
