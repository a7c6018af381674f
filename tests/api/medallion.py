"""Advertising rows of two organizations, through bronze, silver and gold; each run ends as its unit says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel

import penstock as ps
from penstock.model.quality import Issue

FEEDS = [(7, "pipe_456", "DV360 Daily"), (7, "pipe_457", "Search Daily"), (8, "pipe_900", "Others Daily")]
DAYS = [date(2024, 12, day) for day in (20, 21, 22, 23)]


class Feed(NamedTuple):
    org_id: int
    feed_id: str
    name: str
    day: date


class Options(BaseModel):
    advertiser: str = "all"
    fail: bool = False
    hold: bool = False
    slow: float = 0.0


@dataclass(frozen=True)
class Made:
    table: str
    rows: int


def feeds() -> list[Feed]:
    return [Feed(org, feed, name, day) for org, feed, name in FEEDS for day in DAYS]


async def listed_slowly() -> AsyncIterator[ps.Day]:
    await asyncio.sleep(1.0)
    yield ps.Day(DAYS[0])


def make(*, sluggish: bool = False) -> ps.App:
    ads = ps.Pipeline(
        "ads", Feed, gaps=feeds, key=("feed_id", "day"), lane="feed_id", date="day", org="org_id",
        instance=("feed_id", "name"), params=Options, retry=ps.Retry(attempts=1), batch=10, schedule="0 6 1 1 *",
    )  # fmt: skip
    house = ps.Pipeline("housekeeping", gaps=ps.DateGaps())
    slowly: Any = listed_slowly  # an async generator will do, which the type does not say
    late = ps.Pipeline("late", gaps=slowly)

    @ads.step
    async def bronze(ctx: ps.Context[Feed], options: Options) -> int:
        ctx.log.info("Started data ingestion from DV360")
        if options.fail:
            raise ps.InvalidData("the report is no CSV")
        if options.hold:
            await asyncio.Event().wait()
        await asyncio.sleep(options.slow)
        ctx.count(read=1000, written=1000, bytes=45_300_000)
        ctx.log.info("Fetched 1000 records")
        return 1000

    @ads.step
    async def silver(ctx: ps.Context[Feed], rows: int = bronze.output) -> int:
        ctx.log.warning("12 records filtered due to data quality issues")
        ctx.count(read=rows, written=rows - 12, filtered=12)
        ctx.measure(
            total=rows,
            valid=rows - 12,
            issues=[Issue(type="missing_fields", count=7), Issue(type="invalid_types", count=5)],
        )
        return rows - 12

    @ads.step
    async def gold(ctx: ps.Context[Feed], rows: int = silver.output) -> list[Made]:
        ctx.count(written=rows)
        return [Made("gold.campaign_daily", rows), Made("gold.pacing_metrics", 1)]

    @house.step
    async def sweep(today: ps.Day) -> int:
        return today.day.day

    @late.step
    async def wait(today: ps.Day) -> int:
        return today.day.month

    known: Any = (bronze, silver, gold, sweep, wait)
    assert known
    return ps.App("medallion", [ads, house, late] if sluggish else [ads, house])
