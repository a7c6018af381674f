"""The units of a pipeline whose gaps are dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from penstock.definition.pipeline import Pipeline
from penstock.model.errors import DefinitionError
from penstock.model.values import DateGaps


def date_units(
    pipeline: Pipeline[Any], gaps: DateGaps, now: datetime, *, start: date | None, end: date | None
) -> list[Any]:
    """One unit per period: all from `since` (or `start`) until `now`, the present one alone without either.

    Raises:
        DefinitionError: The unit has other fields than the date.
    """
    if pipeline.date is None or len(pipeline.units.fields) != 1:
        msg = (
            f"Pipeline({pipeline.name!r}): DateGaps makes units of one field, the date; {pipeline.unit.__name__} has "
            f"{', '.join(pipeline.units.fields)}. Use ps.Day, or a function that yields units."
        )
        raise DefinitionError(msg)
    zone = ZoneInfo(pipeline.timezone or "UTC")
    here = now.astimezone(zone)
    first = start or gaps.since or here.date()
    last = min(end, here.date()) if end else here.date()
    whole_days = pipeline.units.hints[pipeline.date] is date
    if gaps.every == "hour" and whole_days:
        field = f"{pipeline.unit.__name__}.{pipeline.date}"
        msg = f"Pipeline({pipeline.name!r}): DateGaps('hour') needs a datetime in {field}."
        raise DefinitionError(msg)
    only_now = start is None and gaps.since is None
    moments = [_floor(here, gaps.every)] if only_now else list(_periods(first, last, gaps.every, here, zone))
    return [pipeline.unit(m.date() if whole_days else m.astimezone(UTC)) for m in moments]


def _floor(moment: datetime, every: str) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match every:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return day


def _periods(first: date, last: date, every: str, now: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    at = _floor(datetime.combine(first, time(), zone), every)
    until = min(datetime.combine(last, time(23, 59, 59), zone), now)
    while at <= until:
        yield at
        match every:
            case "hour":  # in UTC, so that no hour is missing or double when the clocks change
                at = (at.astimezone(UTC) + timedelta(hours=1)).astimezone(zone)
            case "week":
                at += timedelta(days=7)
            case "month":
                at = (at + timedelta(days=32)).replace(day=1)
            case _:
                at += timedelta(days=1)
