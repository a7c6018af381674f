"""When to ask again, as a server's headers say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

_HEADERS: Final = (("Retry-After-Ms", 1000), ("Retry-After", 1))
"""With how many of its units are a second; the first is OpenAI's and goes before."""


def retry_after(headers: Mapping[str, Any]) -> float | datetime | None:
    """When to ask again by `retry-after-ms` or `Retry-After`: seconds from now, or a time; None where neither says."""
    for name, in_a_second in _HEADERS:
        value = _value(headers, name)
        if not value:
            continue
        try:
            seconds = float(value) / in_a_second
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    try:
        at = parsedate_to_datetime(_value(headers, "Retry-After"))  # not seconds: a date, by RFC 9110
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _value(headers: Mapping[str, Any], name: str) -> str:
    """A header's text; the headers may be a plain mapping that tells cases apart."""
    value = headers.get(name) or headers.get(name.lower())
    return "" if value is None else str(value)
