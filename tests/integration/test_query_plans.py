"""What every query does in a ledger of a million runs: it reads by an index, and sorts no more than it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from conftest import created
from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.queries import load
from penstock.model.attempt import PlanId, RunId
from tests.integration.explained import Work, work_of
from tests.integration.query_cases import COLD, ENDED, HOT, TOPICS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def ledger(database_server: str, database_template: str) -> Iterator[psycopg.Connection[Any]]:
    """A ledger of a million runs."""
    with created(database_server, database_template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("set search_path = penstock")
            with connection.transaction():
                connection.execute(Path(__file__).with_name("million_runs.sql").read_bytes())
            connection.execute("vacuum analyze")
        with psycopg.connect(url) as connection:
            yield connection


@pytest.fixture(scope="module")
def newest(ledger: psycopg.Connection[Any]) -> datetime:
    """When the newest run was made."""
    row = ledger.execute("select max(created_at) from penstock.runs").fetchone()
    ledger.rollback()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


# Question → how many rows of large tables it may read; all ask for 50 runs.
RUNS: dict[str, tuple[int, dict[str, Any]]] = {
    "newest": (400, {}),
    "of a pipeline": (400, {"pipeline": "p1"}),
    "next page": (400, {"pipeline": "p1", "before": RunId(400_000)}),
    "of a plan": (400, {"plan": PlanId(7)}),
    "of a plan by id": (400, {"plan": PlanId(7), "ids": [RunId(run) for run in range(50_000, 50_050)]}),
    "failed of a plan": (25_400, {"plan": PlanId(7), "states": ["failed", "partial"]}),
    "by id": (16, {"ids": [RunId(ENDED)]}),
    "of a unit": (32, {"pipeline": "p1", "key": '{"n":5}'}),
    "failed": (400, {"pipeline": "p1", "states": ["failed"]}),
    "failed since": (  # it may take all of that time first
        80_000,
        {"pipeline": "p1", "states": ["failed"], "since": timedelta(days=2)},
    ),
    "completed": (110_000, {"pipeline": "p1", "states": ["completed"]}),  # it comes by all that is live and newer
    "since": (4_000, {"since": timedelta(minutes=10)}),
    "of a pipeline since": (8_000, {"pipeline": "p3", "since": timedelta(seconds=10)}),  # blocks of an hour and a half
    "running": (800, {"pipeline": "p1", "states": ["running"]}),
    "waiting": (800, {"states": ["waiting"]}),
    "crashed": (800, {"states": ["crashed"]}),
}
EXECUTIONS: dict[str, tuple[int, dict[str, Any]]] = {
    "newest": (600, {}),
    "next page": (600, {"before": RunId(400_000)}),
    "of an instance": (400, {"instance": "feed 7"}),
    "of an instance, next page": (400, {"instance": "feed 7", "before": RunId(400_000)}),
    "of an organization": (400, {"org": "3"}),
    "failed of an organization": (4_000, {"org": "3", "states": ["failed", "cancelled"]}),
    "of a pipeline": (400, {"pipeline": "p2"}),
    "by id": (16, {"ids": [RunId(ENDED)], "org": "3"}),
    "failed": (600, {"states": ["failed", "cancelled"]}),
    "failed of a pipeline": (400, {"pipeline": "p3", "states": ["failed", "cancelled"]}),
    "running": (600, {"states": ["running", "waiting"]}),
    "completed": (110_000, {"states": ["completed", "partial", "skipped"]}),  # it comes by all that is live and newer
    "until": (3_000, {"until": timedelta(days=7)}),
    "failed until": (600, {"until": timedelta(days=7), "states": ["failed", "cancelled"]}),
    "failed since": (8_000, {"since": timedelta(days=1, hours=5), "states": ["failed", "cancelled"]}),
    "a day": (3_000, {"since": timedelta(days=7), "until": timedelta(days=6)}),
    "a day without any": (2_000, {"since": timedelta(days=-9), "until": timedelta(days=-10)}),
    "completed in a day of an instance": (
        2_000,
        {"since": timedelta(days=7), "until": timedelta(days=6), "instance": "feed 7", "states": ["completed"]},
    ),
}
LISTS_OF_LIVE: dict[str, dict[str, Any]] = {
    "scheduled": {"pipeline": "p1", "states": ["scheduled"]},
    "scheduled of a plan": {"plan": PlanId(118), "states": ["scheduled"]},
}
STATISTICS = {
    "v1_daily_runs": 4 * 86_400 * 2,
    "v1_daily_failures": 86_400,
    "v1_daily_steps": 4 * 86_400 * 2,
}
"""View → rows of large tables that the question for one day of one pipeline may read: its runs and their attempts."""
FEW = 3_000
"""Rows whose sorting costs nothing that could be felt."""


class Asked(PostgresLedger):
    """Keeps the statement that it would have sent."""

    def __init__(self, connection: psycopg.Connection[Any] | None = None) -> None:
        super().__init__("postgresql://nowhere")
        self.statement, self.binds = b"", dict[str, Any]()
        self._connection = connection

    async def rows(self, sql: bytes, **binds: Any) -> list[dict[str, Any]]:
        if sql == load("service")["bounds"]:  # what it says goes into the statement
            assert self._connection is not None
            with self._connection.transaction(), self._connection.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(sql, binds).fetchall()
        self.statement, self.binds = sql, binds
        return []


def asked(
    given: dict[str, Any], newest: datetime, what: str = "runs", connection: psycopg.Connection[Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """The statement and values with which the ledger asks for runs; times count back from the newest."""
    ledger = Asked(connection)
    times: dict[str, Any] = {name: newest - given[name] for name in ("since", "until") if name in given}
    asyncio.run(getattr(ledger, what)(app="big", limit=50, **{**given, **times}))
    return ledger.statement.decode(), ledger.binds


def check(work: Work, reads: int, few: int = FEW) -> None:
    """Reads by an index, no more than it may, and sorts no more than it returns."""
    assert work.scanned == frozenset(), work.plan
    assert work.read <= reads, work.plan
    assert work.sorted <= max(work.returned, few), work.plan


def test_every_query_is_hot_or_has_its_reason() -> None:
    queries = {f"{topic}.{name}" for topic in TOPICS for name in load(topic)}
    assert queries == HOT.keys() | COLD.keys()
    assert not HOT.keys() & COLD.keys()


@pytest.mark.parametrize("often", [False, True], ids=["first", "often"])
@pytest.mark.parametrize(
    ("query", "reads", "binds"),
    [(query, reads, binds) for query, cases in HOT.items() for reads, binds in cases],
    ids=[f"{query}-{place}" for query, cases in HOT.items() for place in range(len(cases))],
)
def test_hot_queries(
    ledger: psycopg.Connection[Any], query: str, reads: int, binds: dict[str, Any], *, often: bool
) -> None:
    topic, name = query.split(".")
    check(work_of(ledger, load(topic)[name].decode(), binds, often=often), reads)


@pytest.mark.parametrize("often", [False, True], ids=["first", "often"])
@pytest.mark.parametrize(
    "question",
    RUNS,
)
def test_lists_of_runs(ledger: psycopg.Connection[Any], newest: datetime, question: str, *, often: bool) -> None:
    reads, given = RUNS[question]
    check(work_of(ledger, *asked(given, newest), often=often), reads)


@pytest.mark.parametrize("often", [False, True], ids=["first", "often"])
@pytest.mark.parametrize("question", EXECUTIONS)
def test_lists_of_executions(ledger: psycopg.Connection[Any], newest: datetime, question: str, *, often: bool) -> None:
    reads, given = EXECUTIONS[question]
    check(work_of(ledger, *asked(given, newest, "executions", ledger), often=often), reads, few=max(FEW, reads))


@pytest.mark.parametrize("question", LISTS_OF_LIVE)
def test_lists_of_what_is_live_read_no_history(
    ledger: psycopg.Connection[Any], newest: datetime, question: str
) -> None:
    work = work_of(ledger, *asked(LISTS_OF_LIVE[question], newest), often=False)
    assert work.scanned <= {"active"}, work.plan
    assert work.read <= 220_000, work.plan


@pytest.mark.parametrize("view", STATISTICS)
def test_a_day_of_the_history_is_found_by_an_index(
    ledger: psycopg.Connection[Any], newest: datetime, view: str
) -> None:
    statement = f"select * from penstock.{view} where app = %(app)s and pipeline = %(pipeline)s and day = %(day)s"
    binds = {"app": "big", "pipeline": "p2", "day": (newest - timedelta(days=1, hours=6)).date()}
    work = work_of(ledger, statement, binds, often=False)
    assert work.returned, work.plan
    assert work.scanned == frozenset(), work.plan
    assert work.read <= STATISTICS[view], (work.read, work.plan)


@pytest.mark.parametrize("query", [query for query, (_, _, binds) in COLD.items() if binds is not None])
def test_cold_queries(ledger: psycopg.Connection[Any], query: str) -> None:
    (topic, name), (_, scanned, binds) = query.split("."), COLD[query]
    assert binds is not None
    work = work_of(ledger, load(topic)[name].decode(), binds, often=False)
    assert work.scanned <= scanned, work.plan
