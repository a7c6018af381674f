"""What the blocks tell the running step about quality: counts per kind of issue, and a few rows of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final, cast

from penstock.definition.context import running
from penstock.model.quality import Issue

SAMPLE: Final = 5
"""So many rows of each issue are kept."""
_LONGEST: Final = 200


def report(*, total: int, valid: int, issues: Sequence[Issue], table: str | None = None) -> None:
    """Tell the running step; outside of one nobody is told."""
    context = running()
    if context is not None:
        context.measure(total=total, valid=valid, issues=issues, table=table)


def sample_of(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Rows as JSON can hold them; long texts are cut, and of bytes only their number is kept."""
    return tuple({name: _plain(value) for name, value in row.items()} for row in rows)


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN
        case bytes() | bytearray() | memoryview():
            return f"{len(cast(bytes, value))} bytes"
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case list() | tuple():
            return [_plain(one) for one in value[:SAMPLE]]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            text = str(value)
            return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
