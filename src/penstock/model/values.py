"""What a pipeline is described with: its default unit, its gaps, its patience."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

Seconds: TypeAlias = float | timedelta


def seconds(value: Seconds) -> float:
    """The same length of time as a number of seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class Day(NamedTuple):
    """The unit of a pipeline that names no other: one calendar day."""

    day: date


@dataclass(frozen=True, slots=True)
class SqlGaps:
    """Wanted minus existing, as one anti-join in the database.

    Args:
        wanted: SQL text, or a `.sql` file beside the module that says so. Selects the unit's fields and, if it
            likes, `source_version` (text) and `priority` (integer, higher first).
        existing: The same for what is there: selects the key and, if it likes, `source_version`. Without it, what
            the ledger knows as completed.
        binds: Values for the queries' `%(name)s`: a mapping, or a function (async or not) whose parameters are filled
            like a step's. `%(start)s` and `%(end)s`, the range asked for or null, are always there.
    """

    wanted: str | Path
    existing: str | Path | None = None
    binds: Callable[..., Mapping[str, Any] | Awaitable[Mapping[str, Any]]] | Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DateGaps:
    """One unit per period that has begun, from `since` on; without `since`, only the present one."""

    every: Literal["hour", "day", "week", "month"] = "day"
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and how long to wait between: first, first × factor, … at most limit.

    Args:
        attempts: Tries in all, the first included.
        first: Seconds before the second try.
        limit: Longest wait in seconds, before jitter; a server's own time is never capped.
        factor: What each wait is multiplied by.
        jitter: Lengthen each wait by up to a tenth, so that many runs do not come back at once. The share is a hash
            of run, step and attempt: the same run waits the same time whoever drives it.
    """

    attempts: int = 3
    first: Seconds = 5
    limit: Seconds = 300
    factor: float = 2
    jitter: bool = True
