"""What type checkers must infer of the building blocks. Type-checked, never run; an ignored line must be an error."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, assert_type

import dataframely as dy
import polars as pl
import psycopg

import penstock as ps
from penstock import data


class Feed(NamedTuple):
    feed: int


class Row(dy.Schema):
    feed = dy.Int64(primary_key=True)


etl = ps.Pipeline("etl", Feed)
gold = data.Publication({"gold": ("feed",)}, mode="swap")
data.Publication({"gold": "feed"}, mode="swop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def frames() -> AsyncIterator[pl.DataFrame]:
    yield pl.DataFrame()


@etl.step
async def silver(feed: Feed, db: ps.Transaction) -> data.Loaded:
    rows = await data.query(db, "select * from bronze join units using (feed)", units=[feed], least=1)
    assert_type(rows, pl.DataFrame)
    good, bad = data.sift(rows, Row)
    assert_type(bad, pl.DataFrame)
    await data.load(db, frames(), "t", mode="append")
    await data.load(db, [{"feed": 1, "name": "x"}], "t", key=("feed", "name"))
    await data.load(db, bad, "t", mode="upsrt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await data.load(db, 1, "t")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    return await data.load(db, good, "silver")


@etl.step(after=silver)
async def publish(db: ps.Transaction) -> list[data.Loaded]:
    assert_type(await gold.write(db, {"gold": [{"feed": 1}]}), int)
    assert_type(await gold.count(db), dict[str, int])
    assert_type(await gold.audit(db, [data.Check("a", "select 1")]), data.Quality)
    return await gold.publish(db)


async def outside(connection: psycopg.AsyncConnection[Any]) -> None:
    assert_type(await data.load(connection, pl.DataFrame(), "t"), data.Loaded)
    assert_type(await data.refresh("v", db=connection), data.Refreshed)


data.Check("a", "select 1", severity="eror")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
