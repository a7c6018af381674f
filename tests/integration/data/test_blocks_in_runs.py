"""The blocks inside of runs: one commit with the step's record, counts and quality in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import dataframely as dy
import pytest

import penstock as ps
from penstock import data
from penstock.testing import Database, database


class Feed(NamedTuple):
    feed: int


class Row(dy.Schema):
    feed = dy.Int64(primary_key=True)
    line = dy.Int64(primary_key=True)
    cost = dy.Float64(min=0)


class Broken:
    """What breaks at which try."""

    publish = 0
    tries = 0


gold = data.Publication({"gold": ("feed", "line")})
etl = ps.Pipeline("etl", Feed, gaps=ps.SqlGaps("select feed from feeds", "select distinct feed from gold"))


@etl.step
async def bronze(feed: Feed, db: ps.Transaction) -> data.Loaded:
    rows = [{"feed": feed.feed, "line": n, "cost": cost} for n, cost in enumerate(["1.5", "-2", "x", None, "3"])]
    return await data.load(db, rows, "bronze")


@etl.step(after=bronze)
async def silver(feed: Feed, db: ps.Transaction) -> data.Loaded:
    rows = await data.query(db, "select * from bronze join units using (feed)", units=[feed])
    good, bad = data.sift(rows, Row, table="silver")
    await data.load(db, bad, "rejected", key=("feed", "line"), counts=False)
    return await data.load(db, good, "silver")


def part(name: str) -> ps.Step[int]:
    @etl.step(name=name, after=silver)
    async def write(feed: Feed, db: ps.Transaction) -> int:
        number = await gold.execute(
            db,
            "insert into gold select feed, line, cost, %(part)s from silver "
            "where feed = %(feed)s and line % 4 = %(mod)s",
            part=name,
            feed=feed.feed,
            mod=int(name[-1]),
        )
        Broken.tries += 1
        if Broken.tries == 1:
            raise ConnectionError("after the write, before the commit")
        return number

    return write


parts = [part("part_0"), part("part_1")]


@etl.step(after=parts)
async def audit(db: ps.Transaction) -> data.Quality:
    return await gold.audit(db, [data.Check("dear", "select * from gold where cost > 2", "out_of_range", "warning")])


@etl.step(after=audit)
async def publish(db: ps.Transaction) -> list[data.Loaded]:
    done = await gold.publish(db)
    if Broken.publish:
        Broken.publish -= 1
        raise ps.InvalidData("after the load, before the record")
    return done


@etl.step(after=publish)
async def views() -> data.Refreshed:
    return await data.refresh("totals")


short = ps.Pipeline("short", Feed, gaps=ps.SqlGaps("select feed from feeds"))


@short.step
async def at_once(feed: Feed, db: ps.Transaction) -> list[data.Loaded]:
    await gold.execute(db, "insert into gold select %(feed)s, n, n, '' from generate_series(1, 3) n", feed=feed.feed)
    await gold.write(db, {"gold": [{"feed": feed.feed, "line": 9, "cost": 1.5, "part": ""}]})
    await gold.audit(db, [data.Check("few", "select * from gold where cost > 2", threshold=0.5)])
    return await gold.publish(db)


app = ps.App("blocks", [etl, short])


@pytest.fixture
def db(database_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    monkeypatch.setattr(Broken, "publish", 0)
    monkeypatch.setattr(Broken, "tries", 1)
    with database(app) as db:
        db.execute(
            """
            create table feeds (feed int); insert into feeds values (7);
            create table bronze (feed int, line int, cost text, primary key (feed, line));
            create table silver (feed int, line int, cost float8, primary key (feed, line));
            create table rejected (feed int, line int, cost text, rules text, primary key (feed, line));
            create table gold (feed int, line int, cost float8, part text, primary key (feed, line));
            create materialized view totals as select feed, sum(cost) as cost from gold group by 1;
            """
        )
        yield db


def steps(db: Database) -> dict[str, Any]:
    return {
        row["step"]: row
        for row in db.rows("select step, counts, output, copied_from from penstock.v1_attempts order by seq")
    }


def staging(db: Database) -> int:
    return int(db.rows("select count(*) as n from pg_namespace where nspname ~ '^penstock_staging'")[0]["n"])


def test_rows_through_all_blocks(db: Database) -> None:
    summary = app.run(etl)
    assert summary.counts == {"completed": 1}, [run.error for run in summary.failed]
    assert db.rows("select * from gold order by line") == [
        {"feed": 7, "line": 0, "cost": 1.5, "part": "part_0"},
        {"feed": 7, "line": 4, "cost": 3.0, "part": "part_0"},
    ]
    assert db.rows("select line, cost, rules from rejected order by line") == [
        {"line": 1, "cost": "-2", "rules": "cost|min"},
        {"line": 2, "cost": "x", "rules": "cost|dtype"},
        {"line": 3, "cost": None, "rules": "cost|nullability"},
    ]
    done = steps(db)
    assert done["bronze"]["counts"] == {"written": 5}
    assert done["silver"]["counts"] == {"read": 5, "filtered": 3, "written": 2}
    assert done["publish"]["counts"] == {"written": 2}
    assert done["audit"]["output"]["status"] == "PASS_WITH_WARNINGS"
    assert done["views"]["output"] == {"views": ["totals"], "failed": {}}
    assert db.rows("select cost from totals") == [{"cost": 4.5}]
    metrics = db.rows("select step, metric_type, count, severity from penstock.quality_metrics order by metric_id")
    assert [tuple(row.values()) for row in metrics if row["step"] == "silver"] == [
        ("silver", "total_records", 5, "info"),
        ("silver", "valid_records", 2, "info"),
        ("silver", "out_of_range", 1, "warning"),
        ("silver", "invalid_types", 1, "warning"),
        ("silver", "missing_fields", 1, "warning"),
    ]
    assert ("audit", "out_of_range", 1, "warning") in [tuple(row.values()) for row in metrics]
    sample = db.rows("select details from penstock.quality_metrics where metric_type = 'invalid_types'")[0]
    assert "'cost': 'x'" in str(sample)
    assert staging(db) == 0


def test_rows_that_one_step_writes_and_publishes_are_counted_once(db: Database) -> None:
    summary = app.run(short)
    assert summary.counts == {"completed": 1}, [run.error for run in summary.failed]
    assert steps(db)["at_once"]["counts"] == {"written": 4}
    assert db.rows("select severity, count from penstock.quality_metrics where metric_type = 'inconsistent'") == [
        {"severity": "info", "count": 1}
    ]
    assert staging(db) == 0


def test_what_an_attempt_wrote_before_it_failed_is_not_there_twice(db: Database) -> None:
    Broken.tries = 0
    assert app.run(etl).counts == {"completed": 1}
    assert Broken.tries == 3
    assert db.rows("select count(*) as n from gold") == [{"n": 2}]


async def test_a_publication_that_failed_is_published_by_the_run_that_takes_its_steps_over(db: Database) -> None:
    Broken.publish = 1
    async with app.client() as client:
        assert (await client.run(etl)).counts == {"failed": 1}
    assert db.rows("select count(*) as n from gold") == [{"n": 0}]
    assert staging(db) == 1
    written = Broken.tries

    async with app.client() as client:
        (failed,) = await client.runs(etl)
        await client.retry(failed.id)
        await client.work()
    assert Broken.tries == written  # what was complete was not done again
    assert db.rows("select count(*) as n from gold") == [{"n": 2}]
    assert staging(db) == 0
