"""What the status and the headers of an HTTP answer mean for whoever asked: its class, and when to ask again."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, Final

from penstock.model.retry_after import retry_after
from penstock.model.states import ErrorClass

BY_STATUS: Final[Mapping[int, ErrorClass]] = {
    401: "auth",
    403: "auth",
    408: "timeout",
    425: "network",
}
_NO_HEADERS: Final[Mapping[str, Any]] = MappingProxyType({})
_REFUSED: Final = range(400, 500)
_FAULTY: Final = range(500, 600)
_LONGEST: Final = 366 * 86_400
"""Seconds: whoever names a time later than a year from now means something else."""
_SINCE_1970: Final = 1_000_000_000
"""A reset of so much or more is a time; of less, seconds from now."""
_IN_MS: Final = 100_000_000_000
_REMAINING: Final = ("x-ratelimit-remaining", "x-rate-limit-remaining", "ratelimit-remaining")
_RESET: Final = ("x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset")
_LIMIT: Final = ("x-ratelimit-limit", "x-rate-limit-limit", "ratelimit-limit")
_LEFT_IN_ONE: Final = re.compile(r"(?:^|[;,\s])(?:r|remaining)=(\d+)")
_LIMIT_IN_ONE: Final = re.compile(r"(?:^|[;,\s])(?:q|limit)=(\d+)")
_WAIT_IN_ONE: Final = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d+)")


def class_of(status: int, headers: Mapping[str, Any] = _NO_HEADERS) -> ErrorClass | None:
    """The class of an answer that is no good; None of one that is."""
    if asks_for_a_pause(status, headers):
        return "rate_limit"
    if status in BY_STATUS:
        return BY_STATUS[status]
    return "data" if status in _REFUSED else "network" if status in _FAULTY else None


def asks_for_a_pause(status: int, headers: Mapping[str, Any]) -> bool:
    """Whether an answer turns the request away because there were too many, and not for what it is."""
    match status:
        case 429:
            return True
        case 503:
            return retry_after(headers) is not None
        case 403:
            return remaining(headers) == 0 or retry_after(headers) is not None
        case _:
            return False


def remaining(headers: Mapping[str, Any]) -> int | None:
    """How many calls are left in this window by `X-RateLimit-Remaining` or its relatives; None where nothing says."""
    value = _first(headers, _REMAINING, _LEFT_IN_ONE)
    try:
        return None if value is None else int(float(value))
    except (ValueError, OverflowError):
        return None


def limit(headers: Mapping[str, Any]) -> str | None:
    """The size of the window as `X-RateLimit-Limit` says it, for messages."""
    value = _first(headers, _LIMIT, _LIMIT_IN_ONE)
    return value[:40] if value else None


def wait(headers: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds from now until it may be asked again, by `Retry-After`, else by the reset; None where nothing says."""
    again = retry_after(headers)
    if again is None:
        return reset(headers, now)
    ahead = (again - _clock(headers, now)).total_seconds() if isinstance(again, datetime) else again
    return max(0.0, ahead) if ahead <= _LONGEST else None


def reset(headers: Mapping[str, Any], now: datetime) -> float | None:
    """Seconds from now until the next window by `X-RateLimit-Reset` or its relatives; None where nothing says.

    They write it as seconds from now, as seconds or milliseconds since 1970, or as a date. A time is taken by the
    server's own clock where it tells it (`Date`), so that a clock that goes wrong here does no harm.
    """
    value = _first(headers, _RESET, _WAIT_IN_ONE)
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        at = _date(value) or _iso(value)
        number = at.timestamp() if at is not None else math.nan
    if not math.isfinite(number) or number < 0:
        return None
    seconds = number / 1000 if number >= _IN_MS else number
    ahead = seconds - _clock(headers, now).timestamp() if number >= _SINCE_1970 else seconds
    return max(0.0, ahead) if ahead <= _LONGEST else None


def _clock(headers: Mapping[str, Any], now: datetime) -> datetime:
    return _date(headers.get("date") or "") or now


def _first(headers: Mapping[str, Any], names: tuple[str, ...], in_one: re.Pattern[str]) -> str | None:
    """The value of the first header that is there, else what `RateLimit`, which has all in one, says."""
    for name in names:
        value = (headers.get(name) or "").strip()
        if value:
            return value if value[0].isalpha() else value.split(",", 1)[0].strip()  # a date has a comma of its own
    found = in_one.search(headers.get("ratelimit") or "")
    return found[1] if found else None


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _iso(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
