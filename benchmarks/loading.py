"""125,000 rows into a table and out of it, beside a bare script of Polars, COPY and one INSERT in the same run."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg

from benchmarks.figures import Figure
from benchmarks.server import database
from penstock import data

ROWS, QUICK, TURNS = 125_000, 20_000, 5
AIM = 1.5
"""So many times the bare script's time is what the blocks may cost."""
COLUMNS = "feed uuid, line int, campaign text, day date, cost numeric(12, 4), clicks bigint"
KEY = "feed, line"
Work = Callable[[], Awaitable[object]]


def frame(rows: int) -> pl.DataFrame:
    """Rows of advertising, as a source would have them."""
    numbers = pl.int_range(rows, eager=True)
    return pl.DataFrame(
        {
            "feed": pl.repeat("a3bb189e-8bf9-3888-9912-ace4e6543002", rows, eager=True),
            "line": numbers,
            "campaign": "campaign " + (numbers % 997).cast(pl.String),
            "day": pl.Series([date(2024, 1, 1) + timedelta(days=n % 31) for n in range(rows)]),
            "cost": numbers * 0.37,
            "clicks": numbers % 100,
        }
    )


def measure(server: str, *, quick: bool) -> list[Figure]:
    with database(server) as url:
        return asyncio.run(_measured(url, QUICK if quick else ROWS))


async def _measured(url: str, rows: int) -> list[Figure]:
    given, times = frame(rows), dict[str, list[float]]()
    restated = given.with_columns(pl.col("cost") + (pl.col("line") % 10 == 0).cast(pl.Int64))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:
        for _ in range(TURNS):
            for name, table, work in (
                ("bare COPY and INSERT", "bare", lambda: _bare(db, given)),
                ("load", "ours", lambda: data.load(db, given, "ours")),
                ("load append", "heap", lambda: data.load(db, given, "heap", mode="append")),
            ):
                key = "" if table == "heap" else f", primary key ({KEY})"
                await db.execute(f"drop table if exists {table}; create table {table} ({COLUMNS}{key})".encode())
                await _timed(times, name, work)
            await _timed(times, "load again, all the same", lambda: data.load(db, given, "ours"))
            await _timed(times, "load again, a tenth restated", lambda: data.load(db, restated, "ours"))
            await _timed(times, "query", lambda: data.query(db, "select * from ours"))
            await _timed(times, "bare SELECT and frame", lambda: _read(db))
    middle = {name: statistics.median(each) for name, each in times.items()}
    aims = {"load": middle["bare COPY and INSERT"] * AIM, "query": middle["bare SELECT and frame"] * AIM}
    return [
        Figure(
            benchmark="loading", what=f"{name}, {rows:,} rows", value=round(seconds, 3), unit="s", aim=aims.get(name)
        )
        for name, seconds in middle.items()
    ]


async def _timed(times: dict[str, list[float]], name: str, work: Work) -> None:
    begun = time.perf_counter()
    await work()
    times.setdefault(name, []).append(time.perf_counter() - begun)


async def _bare(db: psycopg.AsyncConnection[Any], given: pl.DataFrame) -> None:
    """What a script would do."""
    async with db.transaction():
        await db.execute("create temporary table incoming (like bare) on commit drop")
        async with db.cursor().copy("copy incoming from stdin with (format csv)") as copy:
            await copy.write(given.write_csv(include_header=False))
        await db.execute(
            "insert into bare select * from incoming on conflict (feed, line) do update set "
            "campaign = excluded.campaign, day = excluded.day, cost = excluded.cost, clicks = excluded.clicks"
        )


async def _read(db: psycopg.AsyncConnection[Any]) -> pl.DataFrame:
    cursor = await db.execute("select * from ours")
    names = [column.name for column in cursor.description or ()]
    return pl.DataFrame(await cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)
