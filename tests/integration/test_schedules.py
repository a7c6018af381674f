"""Schedules: a tick is fired once, a missed one is made up once, and clocks that are put forward and back lose none."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

import penstock as ps
from penstock.definition.cron import next_time
from penstock.model.errors import DefinitionError
from penstock.operations.service import Service
from tests.integration.feeds import FeedDay, Feeds, serving

pytestmark = pytest.mark.asyncio


async def put_back(service: Service, past: str = "1 day", pipeline: str = "etl") -> None:
    """As if nobody had been there since."""
    async with service.client.connection() as connection:
        await connection.execute(
            "update penstock.schedules set next_at = clock_timestamp() - %s::interval where pipeline = %s",
            [past, pipeline],
        )


async def rows(service: Service, query: str) -> list[tuple[Any, ...]]:
    async with service.client.connection() as connection:
        return list(await (await connection.execute(query.encode())).fetchall())


PLANS = "select triggered_by, state from penstock.plans order by plan_id"


async def test_a_tick_is_fired_once_by_one_of_two_and_a_missed_one_made_up_once(database_url: str) -> None:
    feeds = Feeds(schedule="0 6 * * *")
    async with (
        serving(feeds.app, database_url) as service,
        serving(Feeds(schedule="0 6 * * *").app, database_url) as other,
    ):
        await service.scheduler.announce()
        await other.scheduler.announce()
        assert await service.scheduler.fire() == 0
        await put_back(service, "3 days")
        fired = await asyncio.gather(service.scheduler.fire(), other.scheduler.fire())
        assert sorted(fired) == [0, 1]
        assert await service.scheduler.fire() == await other.scheduler.fire() == 0
        assert await rows(service, PLANS) == [("schedule", "applied")]
        (schedule,) = await service.scheduler.schedules()
        assert schedule.next_at > datetime.now(UTC)
        assert (schedule.next_at.hour, schedule.error, schedule.last_plan) == (6, None, schedule.last_plan)
        assert schedule.last_plan is not None


async def test_a_tick_that_a_process_died_over_is_fired_by_another(database_url: str) -> None:
    feeds = Feeds(schedule="0 6 * * *")
    async with serving(feeds.app, database_url) as service:
        await service.scheduler.announce()
        await put_back(service)
        ((schedule, _),) = await service.ledger.due("feeds")
        assert await service.ledger.take_tick("feeds", schedule)
        assert not await service.ledger.take_tick("feeds", schedule)
        assert await service.scheduler.fire() == 0  # it may be planning yet
        await put_back(service, "1 s")  # as after five minutes
        assert await service.scheduler.fire() == 1


async def test_a_changed_schedule_holds_at_once_and_a_dropped_one_goes(database_url: str) -> None:
    async with serving(Feeds(schedule="0 6 * * *").app, database_url) as service:
        await service.scheduler.announce()
        (before,) = await service.scheduler.schedules()
        await service.scheduler.announce()
        assert list(await service.scheduler.schedules()) == [before]
    async with serving(Feeds(schedule="30 7 * * *").app, database_url) as service:
        await service.scheduler.announce()
        (after,) = await service.scheduler.schedules()
        assert (after.cron, after.next_at.hour, after.next_at.minute) == ("30 7 * * *", 7, 30)
    async with serving(Feeds().app, database_url) as service:
        await service.scheduler.announce()
        assert await service.scheduler.schedules() == []


async def test_a_paused_pipeline_is_planned_and_held(database_url: str) -> None:
    feeds = Feeds(schedule="0 6 * * *")
    async with serving(feeds.app, database_url) as service:
        await service.scheduler.announce()
        await service.client.plan(feeds.etl)
        await service.client.pause(pipeline=feeds.etl)
        await put_back(service)
        assert await service.scheduler.fire() == 1
        assert await service.client.work() == frozenset()
        assert (await service.scheduler.schedules())[0].paused
        await service.client.resume(pipeline=feeds.etl)
        assert len(await service.client.work()) == 6


async def test_one_that_cannot_be_planned_stops_no_other(database_url: str) -> None:
    feeds = Feeds(schedule="0 6 * * *")

    def broken() -> list[FeedDay]:
        raise RuntimeError("no source")

    bad = ps.Pipeline("bad", FeedDay, gaps=broken, schedule="0 6 * * *")

    @bad.step
    async def step(unit: FeedDay) -> None: ...

    async with serving(ps.App("feeds", [bad, feeds.etl]), database_url) as service:
        await service.scheduler.announce()
        await put_back(service, "2 days", "bad")
        await put_back(service)
        assert await service.scheduler.fire() == 2
        told = {one.pipeline: one for one in await service.scheduler.schedules()}
        assert "no source" in str(told["bad"].error)
        assert told["etl"].error is None
        assert told["bad"].next_at > datetime.now(UTC)
        assert len(await service.client.work()) == 6


def chain(*earlier: ps.Pipeline[Any]) -> ps.Pipeline[Any]:
    later = ps.Pipeline("later", FeedDay, gaps=Feeds().days, after=earlier)

    @later.step
    async def step(unit: FeedDay) -> None: ...

    return later


async def test_what_comes_after_is_planned_when_a_plan_is_done(database_url: str) -> None:
    feeds = Feeds()
    async with serving(ps.App("feeds", [feeds.etl, chain(feeds.etl)]), database_url) as service:
        await service.client.start(feeds.etl)
        assert await service.scheduler.fire() == 0
        await service.client.work([feeds.etl])
        assert await service.scheduler.fire() == 1
        assert await service.scheduler.fire() == 0
        assert (await rows(service, PLANS))[-1] == ("after etl", "applied")


async def test_what_comes_after_two_is_planned_after_each_of_them(database_url: str) -> None:
    feeds = Feeds()
    other = ps.Pipeline("other", FeedDay, gaps=feeds.days)

    @other.step
    async def step(unit: FeedDay) -> None: ...

    async with serving(ps.App("feeds", [feeds.etl, other, chain(feeds.etl, other)]), database_url) as service:
        await service.client.start(feeds.etl)
        await service.client.start(other)
        await service.client.work([feeds.etl])
        assert await service.scheduler.fire() == 1
        await service.client.work([other])
        assert await service.scheduler.fire() == 1
        assert [why for why, _ in await rows(service, PLANS)][2:] == ["after etl", "after other"]


async def test_a_follower_is_not_lost_with_the_process_that_took_it(database_url: str) -> None:
    feeds = Feeds()
    async with serving(ps.App("feeds", [feeds.etl, chain(feeds.etl)]), database_url) as service:
        await service.client.run(feeds.etl, where={"feed_id": "a"})
        assert len(await service.ledger.take_done("feeds", ["etl"])) == 1
        assert await service.scheduler.fire() == 0
        async with service.client.connection() as connection:
            await connection.execute("update penstock.plans set following_until = clock_timestamp() - interval '1 s'")
        assert await service.scheduler.fire() == 1


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cron", "after", "times"),
    [
        # Clocks go from 2:00 to 3:00 on 10 March 2024: what does not exist comes right after the gap.
        ("30 2 * * *", "2024-03-09T12:00Z", ["2024-03-10T07:00Z", "2024-03-11T06:30Z"]),
        ("0 6 * * *", "2024-03-09T12:00Z", ["2024-03-10T10:00Z", "2024-03-11T10:00Z"]),
        # They go back from 2:00 to 1:00 on 3 November: a fixed time comes once.
        ("30 1 * * *", "2024-11-02T12:00Z", ["2024-11-03T05:30Z", "2024-11-04T06:30Z"]),
        # What comes every half hour keeps coming.
        ("*/30 * * * *", "2024-11-03T05:15Z", ["2024-11-03T05:30Z", "2024-11-03T06:00Z", "2024-11-03T06:30Z"]),
    ],
)
async def test_clocks_are_put_forward_and_back(cron: str, after: str, times: list[str]) -> None:
    now, found = at(after), list[datetime]()
    for _ in times:
        now = next_time(cron, "America/New_York", now)
        found.append(now)
    assert found == [at(time) for time in times]


@pytest.mark.parametrize("cron", ["", "daily", "61 * * * *", "* * *", "0 0 31 2 *"])
async def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(DefinitionError, match="schedule="):
        Feeds(schedule=cron)
