"""Backfills: a range of days side by side, with progress, pause and resume, and cheap to repeat."""

from __future__ import annotations

import asyncio
import os
from datetime import date, timedelta

import penstock as ps
from medallion.pipelines import backfill, etl
from systems.medallion.tests.world import World, line

FIRST, LAST = date(2024, 1, 1), date(2024, 3, 31)
DAYS = (LAST - FIRST).days + 1


def drop(world: World, first: date, last: date) -> None:
    for n in range((last - first).days + 1):
        day = (first + timedelta(days=n)).isoformat()
        world.drop(f"{day}.csv", line(day, spend="1.00"))


async def test_a_range_is_filled_month_by_month_and_nothing_is_done_again(world: World) -> None:
    feed = await world.feed()
    drop(world, FIRST - timedelta(days=2), LAST + timedelta(days=2))
    done = await world.run(backfill, where={"feed_id": feed}, start=FIRST, end=LAST, lanes=3)
    assert done.counts == {"completed": 3}, "a run for each month"
    assert len(world.spend()) == DAYS
    assert min(world.spend())[0] == FIRST
    assert (await world.run(backfill, where={"feed_id": feed}, start=FIRST, end=LAST)).counts == {}
    more = await world.run(backfill, where={"feed_id": feed}, start=FIRST - timedelta(days=2), end=LAST)
    assert more.counts == {"completed": 1}
    assert world.one("select units from penstock.runs order by run_id desc limit 1") == 2
    assert (await world.run(etl)).counts == {}, "gold has what landed"


async def test_days_that_failed_are_all_that_is_left_to_do(world: World) -> None:
    feed = await world.feed()
    drop(world, FIRST, FIRST + timedelta(days=4))
    bad = world.inbox / "2024-01-03.csv"
    good = bad.read_text()
    bad.write_text(good.replace("campaign_id", "campaign number"))
    done = await world.run(backfill, start=FIRST, end=LAST)
    assert done.counts == {"partial": 1}
    assert len(world.spend()) == 4
    assert str(done.failed[0].error).startswith("2024-01-03.csv has no column 'campaign_id'")
    assert (await world.run(backfill, start=FIRST, end=LAST)).counts == {}, "a wrong report is remembered"
    bad.write_text(good)
    os.utime(bad, (5, 5))
    done = await world.run(backfill, where={"feed_id": feed}, start=FIRST, end=LAST)
    assert done.counts == {"completed": 1}, done.failed
    assert len(world.spend()) == 5


async def test_it_is_paused_and_resumed(world: World) -> None:
    feed = await world.feed()
    drop(world, FIRST, LAST)
    async with world.client() as client:
        plan = await client.start(backfill, where={"feed_id": feed}, start=FIRST, end=LAST, parallel=1)
        started = asyncio.Event()

        def heard(event: ps.Event) -> None:
            if event.type == "execution.completed":
                started.set()

        work = asyncio.create_task(client.work([backfill], on_event=heard, stay=True))
        await asyncio.wait_for(started.wait(), 60)
        await client.pause(plan.number)
        await until(world, "select count(*) = 0 from penstock.runs where state = 'running'")
        done = len(world.spend())
        assert 28 <= done < DAYS
        await client.resume(plan.number)
        await until(world, "select count(*) = 0 from penstock.runs where state in ('running', 'scheduled', 'waiting')")
        await client.stop(10)
        await work
    assert len(world.spend()) == DAYS
    assert {row["state"] for row in world.rows("select state from penstock.runs")} == {"completed"}


async def until(world: World, query: str) -> None:
    deadline = asyncio.get_running_loop().time() + 60
    while not world.one(query):
        assert asyncio.get_running_loop().time() < deadline, query
        await asyncio.sleep(0.02)


async def test_two_that_overlap_and_the_daily_run_do_no_harm_to_one_another(world: World) -> None:
    feed = await world.feed()
    drop(world, FIRST, FIRST + timedelta(days=59))

    async def fill(first: date, last: date) -> None:
        await world.run(backfill, where={"feed_id": feed}, start=first, end=last, lanes=2)

    await asyncio.gather(
        fill(FIRST, FIRST + timedelta(days=40)), fill(FIRST + timedelta(days=20), LAST), world.through(feed_id=feed)
    )
    await world.through(feed_id=feed)
    assert len(world.spend()) == 60
    assert set(world.spend().values()) == {1.0}
    assert (
        world.one("select count(*) from (select 1 from silver.ad_rows group by landing_id having count(*) > 1) x") == 0
    )
    assert world.one("select count(*) from penstock.runs where state not in ('completed')") == 0
