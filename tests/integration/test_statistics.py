"""The history by day: what the views say of runs whose times are known, and that a day is found by an index."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

FIRST, SECOND = date(2026, 3, 1), date(2026, 3, 2)
HISTORY = """
insert into spaces (app, name) values ('shop', 'orders');
insert into pipelines (app, name, space_id) values ('shop', 'orders', 1), ('shop', 'other', 1);
insert into shapes (pipeline_id, hash, body) values (1, 'h', '{"steps": []}');
insert into plans (pipeline_id, shape_id, state, definition) values (1, 1, 'applied', 'd');
insert into lanes (space_id, key) values (1, 'x');
"""


@pytest.fixture
def ledger(database_url: str) -> Any:
    with psycopg.Connection[DictRow].connect(database_url, row_factory=dict_row) as connection:
        connection.execute("set search_path = penstock")
        connection.execute("set timezone = 'America/Toronto'")  # days are of UTC whatever the reader's zone
        connection.execute(HISTORY)
        yield connection


def run(
    ledger: Any,
    state: str,
    at: str,
    seconds: float,
    *,
    units: int = 1,
    pipeline: int = 1,
    error: tuple[str, str] | None = None,
) -> int:
    """One run that ended at this time after so many seconds, having waited ten."""
    row = ledger.execute(
        "insert into runs (pipeline_id, plan_id, shape_id, lane_id, state, units, created_at, started_at, finished_at,"
        " failed_at, error_class, error, failed_step) values (%(p)s, 1, 1, 1, %(state)s, %(units)s,"
        " %(at)s::timestamptz - (%(s)s + 10) * interval '1 s', %(at)s::timestamptz - %(s)s * interval '1 s', %(at)s,"
        " case when %(class)s::text is not null then %(at)s::timestamptz end, %(class)s, %(error)s,"
        " case when %(class)s::text is not null then 'load' end) returning run_id",
        {"p": pipeline, "state": state, "units": units, "at": at, "s": seconds,
         "class": error and error[0], "error": error and error[1]},
    ).fetchone()  # fmt: skip
    return int(row["run_id"])


def attempt(ledger: Any, run: int, seq: int, what: tuple[str, int], state: str, *, seconds: float) -> None:
    """An attempt of a step, by its name and number."""
    ledger.execute(
        "insert into attempts (run_id, seq, step, attempt, state, started_at, finished_at) values"
        " (%s, %s, %s, %s, %s, '2026-03-01 12:00Z', '2026-03-01 12:00Z'::timestamptz + %s * interval '1 s')",
        (run, seq, *what, state, seconds),
    )


def rows(ledger: Any, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in ledger.execute(query).fetchall()]


def test_runs_by_day(ledger: Any) -> None:
    for place, seconds in enumerate((10, 20, 30, 40)):
        done = run(ledger, "completed", f"2026-03-01 1{place}:00Z", seconds, units=2)
        attempt(ledger, done, 1, ("load", 1), "failed", seconds=1)
        attempt(ledger, done, 2, ("load", 2), "done", seconds=3)
    failed = run(ledger, "failed", "2026-03-01 23:59:59Z", 50, error=("network", "reset"))
    attempt(ledger, failed, 1, ("load", 1), "lost", seconds=9)
    attempt(ledger, failed, 2, ("load", 1), "failed", seconds=5)
    run(ledger, "cancelled", "2026-03-02 00:00Z", 5)
    run(ledger, "partial", "2026-03-04 12:00Z", 5, error=("data", "bad"), pipeline=2)
    found = rows(ledger, "select * from v1_daily_runs order by pipeline, day")
    assert [(row["pipeline"], row["day"]) for row in found] == [
        ("orders", FIRST),
        ("orders", SECOND),
        ("other", date(2026, 3, 4)),
    ]
    day = found[0]
    assert {name: day[name] for name in ("runs", "completed", "partial", "failed", "cancelled", "units")} == {
        "runs": 5, "completed": 4, "partial": 0, "failed": 1, "cancelled": 0, "units": 9,
    }  # fmt: skip
    assert (day["p50_seconds"], day["p95_seconds"], day["p50_wait"]) == (30.0, 48.0, 10.0)
    assert (day["attempts"], day["retries"], day["losses"]) == (9, 4, 1)
    # Eight units from 09:59:50 to 23:59:59.
    assert day["units_per_hour"] == pytest.approx(8 * 3600 / (14 * 3600 + 9))
    assert (found[1]["cancelled"], found[1]["units_per_hour"]) == (1, None)


def test_failures_by_day_class_and_step(ledger: Any) -> None:
    run(ledger, "failed", "2026-03-01 10:00Z", 1, error=("network", "first"))
    run(ledger, "failed", "2026-03-01 11:00Z", 1, error=("network", "last"), units=3)
    run(ledger, "partial", "2026-03-01 11:00Z", 1, error=("data", "bad"))
    run(ledger, "completed", "2026-03-01 11:00Z", 1)
    found = rows(ledger, "select * from v1_daily_failures order by error_class")
    assert [(r["day"], r["error_class"], r["step"], r["runs"], r["units"], r["last_error"]) for r in found] == [
        (FIRST, "data", "load", 1, 1, "bad"),
        (FIRST, "network", "load", 2, 4, "last"),
    ]


def test_steps_by_day(ledger: Any) -> None:
    one = run(ledger, "completed", "2026-03-01 12:00Z", 60)
    attempt(ledger, one, 1, ("fetch", 1), "failed", seconds=1)
    attempt(ledger, one, 2, ("fetch", 2), "done", seconds=3)
    attempt(ledger, one, 3, ("load", 1), "done", seconds=10)
    found = rows(ledger, "select * from v1_daily_steps order by step")
    assert [(r["step"], r["attempts"], r["done"], r["failed"], r["p50_seconds"]) for r in found] == [
        ("fetch", 2, 1, 1, 2.0),
        ("load", 1, 1, 0, 10.0),
    ]


def test_a_run_under_way_is_in_no_day_and_an_empty_ledger_has_none(ledger: Any) -> None:
    for view in ("v1_daily_runs", "v1_daily_failures", "v1_daily_steps"):
        assert rows(ledger, f"select * from {view}") == []
    ledger.execute(
        "insert into runs (pipeline_id, plan_id, shape_id, lane_id, state, started_at)"
        " values (1, 1, 1, 1, 'running', %s)",
        (datetime.now(UTC),),
    )
    assert rows(ledger, "select * from v1_daily_runs") == []
