"""Quotas as they are written: what fits, what an operation costs, and when a window begins."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

import penstock as ps
from penstock.model.quota import price, window


class Asset(NamedTuple):
    ticker: str
    todo: str
    usd: Decimal
    tags: list[str]


CALLS = ps.Quota("calls", 100, costs={"fundamentals": 10, "prices": 1})
FRESH = ps.Quota("fresh", 8, costs={"fundamentals": 1})


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"limit": -1}, "Quota('q'): limit=-1 is no amount; it is a number, 0 or more."),
        ({"limit": True}, "limit=True is no amount"),
        ({"limit": "much"}, "limit='much' is no amount"),
        ({"limit": float("nan")}, "limit=nan is no amount"),
        ({"per": "week"}, "per='week' is no window; use second, minute, hour, day, month, run, or None"),
        ({"reserve": 11}, "reserve=11 is more than the limit of 10."),
        ({"starts": "25:00"}, "starts='25:00' is no time of day; write it as HH:MM."),
        ({"timezone": "Europe/Berlim"}, "there is no time zone 'Europe/Berlim'"),
        ({"costs": {"a": -1}}, "costs['a']=-1 is no amount"),
        ({"limit": 0, "per": "second"}, "limit=0 per second lets nothing through"),
    ],
)
def test_what_does_not_fit_is_named(written: dict[str, Any], says: str) -> None:
    given: dict[str, Any] = {"limit": 10, **written}
    with pytest.raises(ps.DefinitionError) as caught:
        ps.Quota("q", **given)
    assert says in str(caught.value)


def test_amounts_are_exact() -> None:
    assert ps.Quota("usd", 0.1).amount == Decimal("0.1")
    assert price(0.3, [CALLS]) == [Decimal("0.3")]


def test_operations_cost_what_each_quota_lists() -> None:
    assert price("fundamentals + prices", [CALLS, FRESH]) == [11, 1]
    assert price("", [CALLS]) == [0]


def test_an_operation_that_no_quota_lists_is_an_error() -> None:
    with pytest.raises(ps.DefinitionError, match="calls lists no operation 'splits'; there are fundamentals, prices"):
        price("prices+splits", [CALLS])


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ({CALLS: "tood"}, "cost='tood' is not a field of Asset; did you mean 'todo'?"),
        ({CALLS: "tags"}, "is list[str]; a cost is a number, or text that names operations"),
        ({ps.Quota("plain", 1): "todo"}, "is a field of operations, but plain lists none"),
        ({CALLS: -1}, "cost of calls=-1 is no amount"),
        ({CALLS: 1, ps.Quota("calls", 5): 1}, "two quotas in cost= are called 'calls'"),
    ],
)
def test_a_cost_that_does_not_fit_is_named(cost: dict[ps.Quota, Any], says: str) -> None:
    with pytest.raises(ps.DefinitionError) as caught:
        ps.Pipeline("assets", Asset, key=("ticker",), cost=cost)
    assert says in str(caught.value)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("quota", "now", "starts", "ends"),
    [
        (ps.Quota("q", 1), "2026-11-21T10:00", "2026-11-21T00:00", "2026-11-22T00:00"),
        (ps.Quota("q", 1, per="minute"), "2026-11-21T10:00:59", "2026-11-21T10:00", "2026-11-21T10:01"),
        (ps.Quota("q", 1, per="hour"), "2026-11-21T10:59", "2026-11-21T10:00", "2026-11-21T11:00"),
        (ps.Quota("q", 1, per="month"), "2026-12-31T23:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        (ps.Quota("q", 1, starts="09:30"), "2026-11-21T09:00", "2026-11-20T09:30", "2026-11-21T09:30"),
        # The clock is put forward on 8 March 2026 and back on 1 November in Toronto.
        (ps.Quota("q", 1, timezone="America/Toronto"), "2026-03-08T12:00", "2026-03-08T05:00", "2026-03-09T04:00"),
        (ps.Quota("q", 1, timezone="America/Toronto"), "2026-11-01T12:00", "2026-11-01T04:00", "2026-11-02T05:00"),
        (
            ps.Quota("q", 1, starts="02:30", timezone="America/Toronto"),
            "2026-03-08T12:00",
            "2026-03-08T07:30",
            "2026-03-09T06:30",
        ),
        (
            ps.Quota("q", 1, starts="01:30", timezone="America/Toronto"),
            "2026-11-01T12:00",
            "2026-11-01T06:30",
            "2026-11-02T06:30",
        ),
    ],
)
def test_a_window_is_the_calendars(quota: ps.Quota, now: str, starts: str, ends: str) -> None:
    assert window(quota, at(now)) == (at(starts), at(ends))


def test_windows_join_without_gap_or_overlap() -> None:
    for per in ("hour", "day", "month"):
        quota = ps.Quota("q", 1, per=per, starts="01:30", timezone="America/Toronto")
        _, ends = window(quota, at("2026-03-01T00:00"))
        for ahead in range(1, 300):
            starts, later = window(quota, at("2026-03-01T00:00"), ahead)
            assert starts == ends
            assert window(quota, starts) == (starts, later)
            ends = later
