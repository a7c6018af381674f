"""Materialized views: order, concurrently or not, and one that fails stops no other."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

import penstock as ps
from penstock import data
from tests.integration.data.looking import rows_of

Db = psycopg.AsyncConnection[Any]


@pytest.fixture(autouse=True)
async def views(db: Db) -> None:
    await db.execute(
        """
        create table t (id int); insert into t values (1);
        create materialized view "First" as select id from t; create unique index on "First" (id);
        create view between_them as select id from "First";
        create materialized view second as select count(*) as n from between_them;
        create materialized view third as select n from second with no data; create unique index on third (n);
        create materialized view bad as select 10 / (2 - id) as x from t;
        create materialized view after_bad as select x from bad;
        insert into t values (2);
        """
    )


@pytest.mark.parametrize("autocommit", [True, False])
async def test_views_are_refreshed_in_the_order_that_they_need(
    db: Db, empty_database_url: str, autocommit: bool
) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=autocommit) as own:
        done = await data.refresh("third", "after_bad", "second", "bad", "First", "third", db=own)
    assert list(done.views) == ["First", "second", "third"]
    assert done.failed == {"bad": "division by zero", "after_bad": "it reads bad, which could not be refreshed"}
    assert await rows_of(db, "select n from third") == [(2,)]


async def test_readers_do_not_wait_where_there_is_a_unique_index(db: Db, empty_database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(empty_database_url) as reader:
        await rows_of(reader, 'select * from "First"')  # and holds its lock on it
        await db.execute("set lock_timeout to '2s'")
        assert (await data.refresh("First", db=db)).views == ["First"]
        assert await rows_of(reader, 'select count(*) from "First"') == [(2,)]
        await rows_of(reader, "select * from second")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await data.refresh("second", db=db)


async def test_when_none_can_be_refreshed_it_fails(db: Db) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await data.refresh("bad", "after_bad", db=db)


@pytest.mark.parametrize(
    ("name", "said"),
    [("secnd", r"did you mean 'second'\?"), ("t", "no materialized view"), ("a;b", "no materialized view")],
)
async def test_what_is_no_view_is_named(db: Db, name: str, said: str) -> None:
    with pytest.raises(ps.DefinitionError, match=said):
        await data.refresh("second", name, db=db)


async def test_a_connection_is_needed_that_may_commit(db: Db) -> None:
    with pytest.raises(ps.DefinitionError, match="Outside of a step"):
        await data.refresh("second")
    async with db.transaction():
        with pytest.raises(ps.DefinitionError, match="without an open transaction"):
            await data.refresh("second", db=db)
