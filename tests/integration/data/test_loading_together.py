"""Loads side by side: overlapping keys in any order neither lock one another out nor lose a row."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg

from penstock import data
from tests.integration.data.looking import rows_of

Db = psycopg.AsyncConnection[Any]


async def test_overlapping_loads_neither_deadlock_nor_lose(db: Db, empty_database_url: str) -> None:
    await db.execute("create table t (id int primary key, v int, by int)")

    async def load(number: int) -> None:
        chance = random.Random(number)
        async with await psycopg.AsyncConnection.connect(empty_database_url) as own:
            for turn in range(6):
                ids = chance.sample(range(300), 200)
                await data.load(own, [{"id": one, "v": turn, "by": number} for one in ids], "t")
                await own.commit()

    await asyncio.gather(*(load(number) for number in range(6)))
    assert await rows_of(db, "select count(*), count(distinct id) from t") == [(300, 300)]


async def test_two_loads_of_one_key_wait_for_one_another(db: Db, empty_database_url: str) -> None:
    await db.execute("create table t (id int primary key, v int)")
    async with (
        await psycopg.AsyncConnection.connect(empty_database_url) as one,
        await psycopg.AsyncConnection.connect(empty_database_url) as other,
    ):
        await data.load(one, [{"id": 1, "v": 1}], "t")
        second = asyncio.create_task(data.load(other, [{"id": 1, "v": 2}], "t"))
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with asyncio.timeout(30):
            while await rows_of(db, waiting) != [(1,)]:  # noqa: ASYNC110 - nobody tells when a session begins to wait
                await asyncio.sleep(0)
        await one.commit()
        loaded = await second
        assert (loaded.inserted, loaded.updated) == (0, 1)
        await other.commit()
    assert await rows_of(db, "select v from t") == [(2,)]


async def test_a_connection_that_does_not_commit_by_itself_is_left_open(db: Db, empty_database_url: str) -> None:
    await db.execute("create table t (id int primary key)")
    async with await psycopg.AsyncConnection.connect(empty_database_url) as own:
        await data.load(own, [{"id": 1}], "t")
        assert await rows_of(db, "select from t") == []
        await own.rollback()
    assert await rows_of(db, "select from t") == []


async def test_readers_of_a_replacement_see_the_old_rows_or_the_new(db: Db, empty_database_url: str) -> None:
    await db.execute("create table t (id int primary key)")
    await data.load(db, [{"id": one} for one in range(100)], "t")
    seen, over = set[int](), asyncio.Event()

    async def read() -> None:
        async with await psycopg.AsyncConnection.connect(empty_database_url, autocommit=True) as own:
            while not over.is_set():
                seen.update(row[0] for row in await rows_of(own, "select count(*) from t"))

    reading = asyncio.create_task(read())
    for turn in range(10):
        size = 200 if turn % 2 else 100
        await data.load(db, [{"id": 1000 * turn + one} for one in range(size)], "t", mode="replace")
    over.set()
    await reading
    assert seen <= {100, 200}
