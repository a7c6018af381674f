"""A plan of a million and of ten million wanted units beside the bare SQL join; and a million gaps applied."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import date
from statistics import median
from typing import Any, NamedTuple

import psycopg

import penstock as ps
from benchmarks.figures import Figure
from benchmarks.server import database

DAYS = 1_000
MISSING = 100
"""One wanted unit in so many does not exist, and one in twice as many is of an older version."""
SOURCES = """
set local synchronous_commit = off;
set local work_mem = '128MB';
set local maintenance_work_mem = '256MB';
create table wanted as select 'T' || lpad(t::text, 5, '0') as ticker, date '2020-01-01' + d as day, 1 as source_version
  from generate_series(1, TICKERS) t, generate_series(0, DAYS - 1) d;
create table existing as
  select ticker, day, case when hashtext(ticker || day) % 200 = 1 then 0 else 1 end as source_version
  from wanted where hashtext(ticker || day) % 100 <> 0;
alter table wanted add primary key (ticker, day);
alter table existing add primary key (ticker, day);
"""
KNOWN = """
insert into penstock.units (pipeline_id, key, unit, verdict, source_version, completed_at, completed_version, rev)
select 1, KEY, json_build_object('ticker', w.ticker, 'day', w.day), 'completed', '1', now(), '1', 1
from existing w
"""
WANTED = "select ticker, day, source_version from wanted"
EXISTING = "select ticker, day, source_version from existing"
JOIN = """
select count(*) from wanted w left join existing e on e.ticker = w.ticker and e.day = w.day
where e.ticker is null or e.source_version is distinct from w.source_version
"""
RATIO_AIM = 1.3
APPLY_AIM = 17.2
"""Seconds for a million runs of new units: 8.9 of runs and 8.3 of units."""


class Price(NamedTuple):
    ticker: str
    day: date


def measure(server: str, *, quick: bool) -> list[Figure]:
    """Every existing unit is known to the ledger, as after a year of use."""
    figures: list[Figure] = []
    for millions in (0.2,) if quick else (1, 10):
        with database(server) as url, tempfile.TemporaryDirectory() as home:
            os.environ.update(PENSTOCK_DATABASE_URL=url, PENSTOCK_HOME=home, PENSTOCK_LOG_LEVEL="WARNING")
            figures += asyncio.run(_plan(url, millions, times=3))
    with database(server) as url, tempfile.TemporaryDirectory() as home:
        os.environ.update(PENSTOCK_DATABASE_URL=url, PENSTOCK_HOME=home, PENSTOCK_LOG_LEVEL="WARNING")
        figures += asyncio.run(_all_gaps(url, 0.1 if quick else 1))
    return figures


def _prices(existing: str | None) -> ps.Pipeline[Price]:
    prices = ps.Pipeline("prices", Price, lane="ticker", gaps=ps.SqlGaps(WANTED, existing))

    @prices.step
    async def fetch(_: Price) -> None: ...

    return prices


async def _plan(url: str, millions: float, times: int) -> list[Figure]:
    prices = _prices(EXISTING)
    with psycopg.connect(url) as connection:
        _make_sources(connection, millions)
    async with ps.App("bench", [prices]).client() as client:
        plan = await client.plan(prices, where={"ticker": "T00001"})  # makes the pipeline's row
        await client.discard(plan.number)
        with psycopg.connect(url, autocommit=True) as connection:
            key = prices.units.key.sql(lambda name: f"w.{name}")
            connection.execute(KNOWN.replace("KEY", key).encode())
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")
        seconds: list[float] = []
        bare: list[float] = []
        gaps = 0
        for _ in range(times):
            begun = time.perf_counter()
            with psycopg.connect(url) as connection:
                gaps = _count(connection)
            bare.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            plan = await client.plan(prices)
            seconds.append(time.perf_counter() - begun)
            assert len(plan) == gaps, (len(plan), gaps)
            await client.discard(plan.number)
    what = f"{millions:g}M wanted, {gaps:,} gaps"
    return [
        Figure("plans", f"{what}: bare join", median(bare), "s"),
        Figure("plans", f"{what}: plan, stored", median(seconds), "s"),
        Figure("plans", f"{what}: plan / bare join", median(seconds) / median(bare), "×", RATIO_AIM),
    ]


async def _all_gaps(url: str, millions: float) -> list[Figure]:
    prices = _prices(None)
    with psycopg.connect(url) as connection:
        _make_sources(connection, millions)
    async with ps.App("bench", [prices]).client() as client:
        begun = time.perf_counter()
        plan = await client.plan(prices)
        planned = time.perf_counter() - begun
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("checkpoint")
            begun = time.perf_counter()
            connection.execute(
                "select penstock.apply_plan(p.plan_id, p.shape_id, 'bench', 'local', null) from penstock.plans p"
                " where p.plan_id = %s",
                [plan.number],
            )
            applied = time.perf_counter() - begun
    what = f"{millions:g}M wanted, all of them gaps"
    return [
        Figure("plans", f"{what}: plan, stored", planned, "s"),
        Figure("plans", f"{what}: apply, new units", applied, "s", APPLY_AIM * millions),
    ]


def _make_sources(connection: psycopg.Connection[Any], millions: float) -> None:
    tickers = round(millions * 1e6 / DAYS)
    connection.execute(SOURCES.replace("TICKERS", str(tickers)).replace("DAYS", str(DAYS)).encode())
    connection.commit()
    connection.autocommit = True
    connection.execute("vacuum analyze")


def _count(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(JOIN.encode()).fetchone()
    assert row is not None
    return int(row[0])
