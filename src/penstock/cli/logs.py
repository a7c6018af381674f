"""Penstock's own logs: on stderr, at the setting's level, without secrets and control characters."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

from penstock.model.printable import visible, visible_lines
from penstock.model.redaction import redact, traced


def configure(level: int, *, as_json: bool = False) -> None:
    """Logs go to stderr: in colour and columns on a terminal, plain in a pipe, or one JSON object a line."""
    import structlog

    terminal = sys.stderr.isatty()
    shown: list[Any] = [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True),
        _escape,
        structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=_traceback),
    ]
    if as_json:
        shown = [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _traced,
            structlog.processors.JSONRenderer(default=str),
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    run = logging.getLogger("penstock.run")  # what handlers say through ctx.log
    if not run.handlers:
        handler = logging.StreamHandler(_Stream())
        handler.setFormatter(
            _Json() if as_json else _Plain("%(asctime)s [%(levelname)s] %(name)s %(message)s", "%H:%M:%S")
        )
        run.addHandler(handler)
    run.setLevel(level)
    run.propagate = False
    if logging.lastResort is not None:  # of libraries that nobody has given a handler
        logging.lastResort.setFormatter(_Json() if as_json else _Plain("%(message)s"))
    if threading.excepthook is threading.__excepthook__:  # of threads that a handler has started
        threading.excepthook = _thread_failed


class _Plain(logging.Formatter):
    """Records as text that is safe to show."""

    def format(self, record: logging.LogRecord) -> str:
        return _set_in(redact(super().format(record)))


class _Json(logging.Formatter):
    """Records of other libraries as JSON objects."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[1] is not None:
            told["traceback"] = traced(record.exc_info[1])
        told["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        return redact(json.dumps(told, default=str))


def _traced(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A traceback as text without the values of locals."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["traceback"] = traced(error)
    return event


def _escape(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _set_in(value) if name == "event" else visible(value)
    return event


def _set_in(text: str) -> str:
    """Lines after the first are set in, so that no value can begin one that looks like a record."""
    return visible_lines(text).replace("\n", "\n    ")


def _traceback(out: TextIO, exc_info: Any) -> None:
    out.write(f"    {_set_in(traced(exc_info[1]))}")


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        name = failed.thread.name if failed.thread else "a thread"
        sys.stderr.write(f"Exception in thread {visible(name)}:\n{visible_lines(traced(failed.exc_value))}\n")


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
        sys.stderr.write(f"{redact(message)}\n")
        sys.stderr.flush()

    debug = info = warning = warn = error = critical = exception = fatal = log = msg
