"""Penstock's own logs: on stderr, at the setting's level."""

from __future__ import annotations

import logging
import sys
from typing import Any


def configure(level: int) -> None:
    """Logs go to stderr: in colour and columns on a terminal, plain in a pipe."""
    import structlog

    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
            structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=structlog.dev.plain_traceback),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    run = logging.getLogger("penstock.run")  # what handlers say through ctx.log
    if not run.handlers:
        handler = logging.StreamHandler(_Stream())
        handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(name)s %(message)s", "%H:%M:%S"))
        run.addHandler(handler)
    run.setLevel(level)
    run.propagate = False


class _Stream:
    """stderr as it is when something is written."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Stderr:
    """Writes to whatever stderr is at that moment: a progress bar stands in for it while it is shown."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, message: str) -> None:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    debug = info = warning = warn = error = critical = exception = fatal = log = msg
