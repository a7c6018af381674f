"""Write, audit, publish: what is written aside, what a gate stops, and what readers see."""

from __future__ import annotations

from typing import Any

import polars as pl
import psycopg
import pytest

import penstock as ps
from penstock import data
from tests.integration.data.looking import rows_of

Db = psycopg.AsyncConnection[Any]

daily = data.Publication({"gold.campaign": "id", "gold.daily": ("id", "day")})
NEGATIVE = data.Check("cost_not_negative", "select * from gold.daily where cost < 0", "out_of_range")


@pytest.fixture(autouse=True)
async def tables(db: Db) -> None:
    await db.execute(
        """
        create schema gold;
        create table gold.campaign (id int primary key, name text not null);
        create table gold.daily (id int references gold.campaign, day date, cost numeric, primary key (id, day));
        insert into gold.campaign values (1, 'old'), (2, 'stays');
        insert into gold.daily values (1, '2024-01-01', 1), (2, '2024-01-01', 2);
        """
    )


def rows(*costs: float) -> dict[str, Any]:
    return {
        "gold.daily": [{"id": number, "day": "2024-01-01", "cost": cost} for number, cost in enumerate(costs, 1)],
        "gold.campaign": pl.DataFrame({"id": range(1, len(costs) + 1), "name": [f"c{n}" for n in range(len(costs))]}),
    }


async def published(db: Db) -> list[tuple[Any, ...]]:
    return await rows_of(
        db, "select c.id, name, cost::float8 from gold.campaign c left join gold.daily d on d.id = c.id order by 1"
    )


async def staging(db: Db) -> list[tuple[Any, ...]]:
    return await rows_of(db, "select nspname from pg_namespace where nspname like 'penstock_staging%'")


async def test_a_merge_publishes_what_differs_and_takes_the_staging_place_away(db: Db) -> None:
    assert await daily.write(db, rows(5, 2, 3)) == 6
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]
    assert await daily.count(db) == {"gold.campaign": 3, "gold.daily": 3}
    quality = await daily.audit(db, [NEGATIVE])
    assert quality == data.Quality(score=100, status="PASS", issues={}, total=6, valid=6)
    campaign, day = await daily.publish(db)
    assert (campaign.table, campaign.inserted, campaign.updated) == ("gold.campaign", 1, 2)
    assert (day.inserted, day.updated, day.unchanged) == (1, 1, 1)
    assert await published(db) == [(1, "c0", 5), (2, "c1", 2), (3, "c2", 3)]
    assert await staging(db) == []


async def test_a_swap_leaves_nothing_else(db: Db) -> None:
    swap = data.Publication({"gold.campaign": "id", "gold.daily": ("id", "day")}, mode="swap")
    await swap.write(db, rows(5))
    campaign, day = await swap.publish(db)
    assert (campaign.updated, campaign.deleted, day.deleted) == (1, 1, 1)
    assert await published(db) == [(1, "c0", 5)]


async def test_a_table_is_not_swapped_for_nothing(db: Db) -> None:
    swap = data.Publication({"gold.campaign": "id", "gold.daily": ("id", "day")}, mode="swap")
    await swap.write(db, {"gold.campaign": rows(5)["gold.campaign"]})
    with pytest.raises(ps.Rejected, match=r"gold.daily: nothing was written, and swapping would empty it"):
        await swap.publish(db)
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]


async def test_a_closed_gate_names_the_check_and_a_row_and_publishes_nothing(db: Db) -> None:
    await daily.write(db, rows(5, -2, -3))
    with pytest.raises(
        ps.Rejected, match=r'cost_not_negative: 2 rows of 6, such as \{"id": 2, "day": "2024-01-01", "cost": -2\}'
    ):
        await daily.audit(db, [NEGATIVE])
    quality = await daily.audit(db, [NEGATIVE], gate=False)
    assert quality == data.Quality(score=66.66, status="FAIL", issues={"cost_not_negative": 2}, total=6, valid=4)
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]


async def test_a_row_that_breaks_two_rules_is_one_invalid_row(db: Db) -> None:
    await daily.write(db, rows(5, -2, -3))
    checks = [
        data.Check("negative", "select id, day from daily where cost < 0", "out_of_range", severity="warning"),
        data.Check("small", "select * from daily where cost < 3", severity="warning", threshold=0.5),
        data.Check("known", "select * from campaign where name like 'c%'", severity="info"),
        data.Check("count", "select 1 where (select count(*) from daily) < 5", severity="warning", threshold=1),
    ]
    quality = await daily.audit(db, checks)
    assert quality.issues == {"negative": 2, "small": 2, "known": 3, "count": 1}
    assert (quality.status, quality.valid, quality.total) == ("PASS_WITH_WARNINGS", 3, 6)


async def test_sql_sees_what_was_written_by_either_name(db: Db) -> None:
    await daily.write(db, rows(5, 6))
    assert (
        await daily.execute(db, "update gold.daily set cost = cost + %(more)s where day::text like '2024%'", more=1)
        == 2
    )
    assert (
        await daily.execute(
            db, 'delete from daily using "gold" . "campaign" as c where c.id = daily.id and daily.cost > 6'
        )
        == 1
    )
    await daily.execute(
        db,
        "insert into gold.daily select id, '2024-01-02', cost from published.daily -- gold.daily is what was written\n"
        "where 'gold.daily' <> $$gold.daily x$$ and id = 2",
    )
    assert await daily.count(db) == {"gold.campaign": 2, "gold.daily": 2}
    await daily.publish(db)
    assert await rows_of(db, "select id, day::text, cost::int from gold.daily order by 1, 2") == [
        (1, "2024-01-01", 6),
        (2, "2024-01-01", 2),
        (2, "2024-01-02", 2),
    ]


async def test_sql_that_changes_what_is_published_is_refused_and_undone(db: Db) -> None:
    with pytest.raises(ps.DefinitionError, match="changed what is published"):
        await daily.execute(db, "update published.daily set cost = 0")
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]
    assert await rows_of(db, "show search_path") == [('"$user", public',)]


async def test_a_check_that_is_wrong_is_named(db: Db) -> None:
    await daily.write(db, rows(5))
    for sql, said in (
        ("select nox from daily", 'column "nox" does not exist'),
        ("select %(x)s", "missing"),
        ("delete from daily", "syntax"),
    ):
        with pytest.raises(ps.DefinitionError, match=f"Check 'bad' cannot be run: .*{said}"):
            await daily.audit(db, [data.Check("bad", sql)])
    with pytest.raises(ps.DefinitionError, match="Two checks are called 'bad'"):
        await daily.audit(db, [data.Check("bad", "select 1"), data.Check("bad", "select 2")])


async def test_nothing_written_is_said_and_not_published(db: Db) -> None:
    for call in (daily.count(db), daily.audit(db, []), daily.publish(db)):
        with pytest.raises(ps.InvalidData, match="Nothing was written"):
            await call


async def test_a_key_that_was_written_twice_is_not_published(db: Db) -> None:
    await daily.write(db, rows(5))
    await daily.write(db, rows(6))
    with pytest.raises(ps.InvalidData, match=r"gold.campaign: rows 1 and 2 have the same key, id=1 \(1 keys"):
        await daily.publish(db)
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]
    await daily.discard(db)
    assert await staging(db) == []


async def test_a_constraint_that_says_no_leaves_every_table_as_it_was(db: Db) -> None:
    await daily.write(db, rows(5, 6))
    await daily.execute(db, "update gold.daily set id = 77 where id = 2")
    with pytest.raises(ps.InvalidData, match=r"gold.daily: .*foreign key.*\(id\)=\(77\)"):
        await daily.publish(db)
    assert await published(db) == [(1, "old", 1), (2, "stays", 2)]


async def test_a_table_that_numbers_its_rows(db: Db) -> None:
    await db.execute("create table numbered (n int generated by default as identity, s serial, name text primary key)")
    names = data.Publication({"numbered": "name"})
    await names.write(db, {"numbered": [{"name": "a"}, {"name": "b"}]})
    await names.publish(db)
    assert await rows_of(db, "select n, name from numbered order by n") == [(1, "a"), (2, "b")]


async def test_staging_places_that_nobody_published_are_removed_after_30_days(db: Db) -> None:
    for name, made in (("penstock_staging_old", "2020-01-01"), ("penstock_staging_young", "2999-01-01")):
        await db.execute(f"create schema {name}; comment on schema {name} is 'made at {made}'".encode())
    await daily.write(db, rows(5))
    names = [row[0] for row in await staging(db)]
    assert "penstock_staging_old" not in names
    assert {"penstock_staging_young"} < set(names)


@pytest.mark.parametrize(
    ("tables", "mode", "said"),
    [
        ({}, "merge", "no table"),
        ({"a": ()}, "merge", "a has no key"),
        ({"x.a": "id", "y.a": "id"}, "merge", "two schemas"),
        ({"a": "id"}, "replace", "merge, swap"),
    ],
)
def test_a_publication_that_cannot_be_is_refused(tables: Any, mode: Any, said: str) -> None:
    with pytest.raises(ps.DefinitionError, match=said):
        data.Publication(tables, mode=mode)


async def test_a_table_or_key_that_is_not_there_is_named(db: Db) -> None:
    with pytest.raises(
        ps.DefinitionError, match=r"'gold.dayly' is not a table of this publication; did you mean 'gold.daily'"
    ):
        await daily.write(db, {"gold.dayly": []})
    with pytest.raises(ps.DefinitionError, match=r"no unique index on \(name\)"):
        await data.Publication({"gold.campaign": "name"}).write(db, {"gold.campaign": []})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "", "sql": "select 1"}, "needs a name"),
        ({"name": "a", "sql": " "}, "and a query"),
        ({"name": "a", "sql": "select 1", "severity": "eror"}, r"did you mean error\?"),
        ({"name": "a", "sql": "select 1", "threshold": -1}, "0 or more"),
        ({"name": "a", "sql": "select 1", "threshold": float("nan")}, "0 or more"),
        ({"name": "a", "sql": "select 1", "type": "total_records"}, "name of a count"),
    ],
)
def test_a_check_that_cannot_be_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ps.DefinitionError, match=said):
        data.Check(**given)


async def test_whoever_writes_by_hand_and_waits_stops_nobody(db: Db, empty_database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url) as open_one:
        await daily.write(open_one, rows(5))
        await db.execute("set lock_timeout to '2s'")
        await daily.write(db, rows(6, 7))
        assert await daily.count(db) == {"gold.campaign": 2, "gold.daily": 2}  # each has its own
        assert await daily.count(open_one) == {"gold.campaign": 1, "gold.daily": 1}
        await daily.publish(db)
        await open_one.rollback()
    assert await staging(db) == []
