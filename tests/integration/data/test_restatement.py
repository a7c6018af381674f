"""A source that says a key again with other values: the table has the latest, the history has all of them."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import penstock as ps
from penstock import data
from tests.integration.data.looking import rows_of

Db = psycopg.AsyncConnection[Any]

TABLES = """
create table spend (advertiser text, week date, name text, usd int, primary key (advertiser, week));
create table spend_history (like spend, valid_from timestamptz not null, valid_to timestamptz,
  confirmed_at timestamptz not null, primary key (advertiser, week, valid_from));
"""
AUGUST, SEPTEMBER = datetime(2018, 8, 5, tzinfo=UTC), datetime(2018, 9, 2, tzinfo=UTC)


def snapshot(letter: str) -> pl.DataFrame:
    folder = Path(os.environ.get("PENSTOCK_TEST_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
    path = folder / "adtech" / f"google_political_weekly_spend_2018_snapshot{letter}.csv.gz"
    if not path.is_file():
        reason = "no advertising data; set PENSTOCK_TEST_DATA to the folder that holds adtech/"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    frame = pl.read_csv(path)
    return frame.select(
        advertiser=pl.col(frame.columns[0]),
        week=pl.col("Week_Start_Date"),
        name=pl.col("Advertiser_Name"),
        usd=pl.col("Spend_USD"),
    )


def expected() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    one, other = snapshot("A"), snapshot("B")
    both = one.join(other, on=["advertiser", "week"], suffix="_now")
    return one, other, both.filter((pl.col("usd") != pl.col("usd_now")) | (pl.col("name") != pl.col("name_now")))


@pytest.fixture
async def spend(db: Db) -> Db:
    await db.execute(TABLES)
    return db


async def versions(db: Db) -> dict[str, tuple[Any, ...]]:
    return {
        "table": tuple(await rows_of(db, "select * from spend order by 1, 2")),
        "history": tuple(await rows_of(db, "select * from spend_history order by advertiser, week, valid_from")),
    }


@pytest.mark.parametrize("in_order", [True, False])
async def test_two_snapshots_of_one_source(spend: Db, in_order: bool) -> None:
    one, other, restated = expected()
    snapshots = [(one, AUGUST), (other, SEPTEMBER)]
    loads = [
        await data.load(spend, frame, "spend", history=True, published=at)
        for frame, at in (snapshots if in_order else reversed(snapshots))
    ]
    shared = one.join(other, on=["advertiser", "week"])
    if in_order:
        assert loads[0].inserted == one.height
        assert (loads[1].inserted, loads[1].updated) == (other.height - shared.height, restated.height)
    else:
        assert loads[0].inserted == other.height
        assert loads[1].inserted == one.height - shared.height
        assert (loads[1].updated, loads[1].superseded) == (0, shared.height)
    assert restated.height >= 324  # what the collector of the data counted
    latest = other.vstack(one.join(other, on=["advertiser", "week"], how="anti").select(other.columns))
    read = await data.query(spend, "select advertiser, week::text as week, name, usd from spend")
    assert (
        read.sort(read.columns).rows() == latest.with_columns(pl.col("usd").cast(pl.Int32)).sort(latest.columns).rows()
    )
    then = await data.query(
        spend,
        "select advertiser, week::text as week, name, usd from spend_history "
        "where valid_from <= %(at)s and (valid_to is null or valid_to > %(at)s)",
        at=AUGUST + timedelta(days=1),
    )
    assert then.sort(then.columns).rows() == one.with_columns(pl.col("usd").cast(pl.Int32)).sort(one.columns).rows()
    assert len(await rows_of(spend, "select from spend_history where valid_to is not null")) == restated.height


async def test_the_order_of_arrival_does_not_matter(spend: Db) -> None:
    said = [(AUGUST, 1), (AUGUST + timedelta(days=1), 2), (SEPTEMBER, 2), (SEPTEMBER + timedelta(days=1), 1)]
    found: list[Any] = []
    for order in itertools.permutations(said):
        await spend.execute("truncate spend, spend_history")
        for at, usd in order:
            row = {"advertiser": "a", "week": "2018-07-29", "name": "n", "usd": usd}
            await data.load(spend, [row], "spend", history="spend_history", published=at)
        found.append(await versions(spend))
    assert all(one == found[0] for one in found)
    assert [row[3:6] for row in found[0]["history"]] == [
        (1, AUGUST, AUGUST + timedelta(days=1)),
        (2, AUGUST + timedelta(days=1), SEPTEMBER + timedelta(days=1)),
        (1, SEPTEMBER + timedelta(days=1), None),
    ]
    assert found[0]["table"][0][3] == 1


async def test_a_confirmation_that_is_taken_back_does_not_come_again(spend: Db) -> None:
    """Said again in September, and then otherwise for the same day; what comes late for August finds its place."""
    said = [(AUGUST, 1), (SEPTEMBER, 1), (SEPTEMBER, 2), (AUGUST + timedelta(days=1), 0)]
    for at, usd in said:
        row = {"advertiser": "a", "week": "2018-07-29", "name": "n", "usd": usd}
        await data.load(spend, [row], "spend", history="spend_history", published=at)
    found = await versions(spend)
    assert [row[3:6] for row in found["history"]] == [
        (1, AUGUST, AUGUST + timedelta(days=1)),
        (0, AUGUST + timedelta(days=1), SEPTEMBER),
        (2, SEPTEMBER, None),
    ]
    assert found["table"][0][3] == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.lists(
        st.tuples(st.integers(0, 5), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1)), max_size=8
    )
)
async def test_the_table_has_what_was_published_last_and_the_history_is_a_chain(
    empty_database_url: str, said: list[Any]
) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as db:
        await db.execute("drop table if exists spend, spend_history")
        await db.execute(TABLES)
        model: dict[tuple[str, int], int] = {}
        for day, rows in said:
            at = AUGUST + timedelta(days=day)
            batch = [{"advertiser": one, "week": "2018-07-29", "name": "n", "usd": usd} for one, usd in rows.items()]
            await data.load(db, batch, "spend", history=True, published=at)
            model.update({(one, day): usd for one, usd in rows.items()})
        for name in "abc":
            days = sorted(day for one, day in model if one == name)
            kept = await rows_of(
                db, f"select usd, valid_from, valid_to from spend_history where advertiser = '{name}' order by 2"
            )
            table = await rows_of(db, f"select usd from spend where advertiser = '{name}'")
            assert (
                table == [(model[name, day],) for day in days[-1:]] == [(usd,) for usd, _, over in kept if over is None]
            )
            assert [begun for _, begun, _ in kept[1:]] == [over for _, _, over in kept[:-1]]
            if [day for day, rows in said if name in rows] == days:  # it came in order, and each day once
                for day in range(7):
                    at = AUGUST + timedelta(days=day)
                    held = [usd for usd, begun, over in kept if begun <= at and (over is None or at < over)]
                    assert held == [model[name, one] for one in [one for one in days if one <= day][-1:]]


async def test_without_a_time_versions_are_in_the_order_of_the_loads(spend: Db) -> None:
    rows = [{"advertiser": "a", "week": "2018-07-29", "name": "n", "usd": usd} for usd in (1, 2, 2, 3)]
    loads = [await data.load(spend, [row], "spend", history=True) for row in rows]
    assert [(one.inserted, one.updated, one.unchanged) for one in loads] == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0)]
    kept = await rows_of(spend, "select usd, valid_to is null from spend_history order by valid_from")
    assert kept == [(1, False), (2, False), (3, True)]
    gaps = "select from spend_history one join spend_history next on one.valid_to = next.valid_from"
    assert len(await rows_of(spend, gaps)) == 2


async def test_what_was_there_before_the_history_is_its_first_version(spend: Db) -> None:
    row = {"advertiser": "a", "week": "2018-07-29", "name": "n", "usd": 1}
    await data.load(spend, [row], "spend")
    await data.load(spend, [{**row, "usd": 2}], "spend", history=True, published=AUGUST)
    assert await rows_of(spend, "select usd, valid_from::text, valid_to from spend_history order by valid_from") == [
        (1, "-infinity", AUGUST),
        (2, str(AUGUST)[:22], None),
    ]


async def test_a_history_that_is_none_is_refused_with_the_sql_that_makes_one(db: Db) -> None:
    await db.execute("create table t (id int primary key, v int)")
    with pytest.raises(ps.DefinitionError, match="has no history table") as refused:
        await data.load(db, [{"id": 1, "v": 1}], "t", history=True)
    await db.execute(str(refused.value).split("\n")[-1].encode())
    assert (await data.load(db, [{"id": 1, "v": 1}], "t", history=True)).inserted == 1
    await db.execute("create table bad (id int, v int, valid_from date)")
    with pytest.raises(
        ps.DefinitionError, match=r"no column valid_to; .*its valid_from is no timestamptz; .*unique index"
    ):
        await data.load(db, [{"id": 1, "v": 1}], "t", history="bad")
    await db.execute("alter table t add more int")
    with pytest.raises(ps.InvalidData, match=r"t_history.* lacks more"):
        await data.load(db, [{"id": 1, "more": 1}], "t", history=True)
    assert await rows_of(db, "select count(*) from t_history") == [(1,)]
