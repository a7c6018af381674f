"""Figures, times and units in a person's words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from penstock.model.printable import visible

MINUTE, HOUR, DAY = 60, 3600, 86400


def counted(number: int, noun: str) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def length(seconds: float) -> str:
    """A time span with two figures at most: `40 ms`, `3.2 s`, `12 s`, `4 min`, `3 h 20 min`, `3.2 days`."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - below it a tenth is worth a figure
        return f"{seconds:.1f} s"
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        minutes, rest = divmod(round(seconds), MINUTE)
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"  # noqa: PLR2004 - as above
    if seconds < 2 * DAY:
        hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / DAY:.1f} days"


def forecast(seconds: float | None) -> str:
    """How long it will take, or that nobody can know."""
    if seconds is None:
        return "no history yet"
    if seconds < 1:
        return "less than a second"
    if MINUTE <= seconds < HOUR:
        return f"about {seconds / MINUTE:.0f} min"
    return f"about {length(seconds)}"


def moment(at: datetime | None) -> str:
    """A point in time, to the minute."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def clock(at: datetime) -> str:
    """A point of today, to the second."""
    return at.astimezone(UTC).strftime("%H:%M:%S")


def unit_words(fields: Mapping[str, Any], key: tuple[str, ...] | None = None) -> str:
    """A unit as one would type it: `bank_id=1 report_type='Call Summary'`."""
    names = fields if key is None else key
    return visible(" ".join(f"{name}={shlex.quote(str(fields[name]))}" for name in names if name in fields))
