"""Gaps by SQL and rows in tables, on a PostgreSQL database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

import penstock as ps
from penstock.testing import Database, database


class Report(NamedTuple):
    bank: str
    pages: int


reports = ps.Pipeline(
    "reports",
    Report,
    gaps=ps.SqlGaps("select bank, pages, hash as source_version from transcripts", "select bank from reports"),
    key=("bank",),
)


@reports.step
async def write(report: Report, db: ps.Transaction) -> None:
    if report.pages > 100:
        raise ps.InvalidData("too long")
    await db.execute("insert into reports values (%(bank)s) on conflict do nothing", {"bank": report.bank})


app = ps.App("fundamentals", [reports])


@pytest.fixture
def db(database_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    with database(app) as db:
        db.execute(
            """
            create table transcripts (bank text, pages int, hash text);
            create table reports (bank text primary key);
            insert into transcripts values ('RY', 10, 'v1'), ('TD', 20, 'v1'), ('BMO', 300, 'v1');
            """
        )
        yield db


def test_a_gap_is_a_row_that_is_wanted_and_not_there(db: Database) -> None:
    db.execute("insert into reports values (%(bank)s)", bank="RY")
    assert {gap.unit.bank for gap in app.plan(reports)} == {"TD", "BMO"}


def test_rows_are_written_with_the_record_of_their_step(db: Database) -> None:
    summary = app.run(reports)
    assert summary.counts == {"completed": 2, "failed": 1}
    assert db.rows("select bank from reports order by bank") == [{"bank": "RY"}, {"bank": "TD"}]
    assert len(app.plan(reports)) == 0


def test_a_new_version_of_a_source_makes_stale_what_was_made_from_the_old_one(db: Database) -> None:
    app.run(reports)
    db.execute("update transcripts set hash = 'v2'")
    assert app.plan(reports).counts == {"stale": 2, "failed": 1}


async def test_async_code_uses_a_client(db: Database) -> None:
    async with app.client() as client:
        assert (await client.run(reports, where={"bank": "TD"})).ok
        why = await client.why(reports, Report("TD", 20))
    assert why.sentence.startswith("reports bank=TD is there")
