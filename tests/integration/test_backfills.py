"""Backfills: a plan over a range of days, so many runs at once, seen, held and let go on."""

from __future__ import annotations

from datetime import date

import pytest

import penstock as ps
from penstock.model.errors import NotFound
from tests.integration.feeds import FIRST, LAST, FeedDay, Feeds, serving

pytestmark = pytest.mark.asyncio


async def test_progress_pause_and_resume(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        begun = await service.backfills.start(feeds.etl, start=FIRST, end=LAST, parallel=1)
        assert (begun.state, begun.total, begun.done, begun.parallel) == ("running", 6, 0, 1)
        await service.client.pause(begun.number)
        assert (await service.backfills.show(begun.id)).state == "paused"
        assert await service.client.work() == frozenset()
        await service.client.resume(begun.number)
        await service.client.work()
        ended = await service.backfills.show(begun.id)
        assert (ended.state, ended.done, dict(ended.runs)) == ("completed", 6, {"completed": 6})
        assert [one.id for one in await service.backfills.find()] == [begun.id]


async def test_the_same_range_again_makes_what_is_missing_alone(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        await service.backfills.start(feeds.etl, start=FIRST, end=date(2024, 1, 4))
        await service.client.work()
        again = await service.backfills.start(feeds.etl, start=FIRST, end=LAST)
        assert again.total == 2
        await service.client.work()
        nothing = await service.backfills.start(feeds.etl, start=FIRST, end=LAST)
        assert (nothing.state, nothing.total) == ("completed", 0)
        assert len(feeds.seen) == 12
        forced = await service.backfills.start(feeds.etl, start=FIRST, end=FIRST, force=True)
        assert forced.total == 2


async def test_one_that_fails_in_part_says_so(database_url: str) -> None:
    def fail(unit: FeedDay, _: object) -> None:
        if unit.day == FIRST:
            raise ps.InvalidData("no")

    feeds = Feeds(act=fail)
    async with serving(feeds.app, database_url) as service:
        begun = await service.backfills.start(feeds.etl, start=FIRST, end=LAST, where={"feed_id": "a"})
        await service.client.work()
        assert (await service.backfills.show(begun.number)).state == "partial"
        one = await service.backfills.start(feeds.etl, start=FIRST, end=FIRST, where={"feed_id": "b"})
        await service.client.cancel(plan=one.number)
        assert (await service.backfills.show(one.number)).state == "cancelled"


async def test_what_cannot_be_filled_is_refused(database_url: str) -> None:
    feeds = Feeds()
    plain = ps.Pipeline("plain", FeedDay, gaps=feeds.days)

    @plain.step
    async def step(unit: FeedDay) -> None: ...

    async with serving(ps.App("feeds", [feeds.etl, plain]), database_url) as service:
        with pytest.raises(ps.InvalidData, match="names no date field"):
            await service.backfills.start(plain, start=FIRST, end=LAST)
        with pytest.raises(ps.InvalidData, match="is after"):
            await service.backfills.start(feeds.etl, start=LAST, end=FIRST)
        with pytest.raises(ps.InvalidData, match="parallel=0"):
            await service.backfills.start(feeds.etl, start=FIRST, end=LAST, parallel=0)
        with pytest.raises(NotFound):
            await service.backfills.show(99)


async def test_an_organization_sees_and_fills_its_own(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        own = await service.backfills.start(feeds.etl, start=FIRST, end=LAST, org="2")
        assert own.total == 3
        with pytest.raises(NotFound):
            await service.backfills.show(own.id, org="1")
        assert [len(await service.backfills.find(org=org)) for org in ("1", "2", None)] == [0, 1, 1]
        everybodys = await service.backfills.start(feeds.etl, start=FIRST, end=LAST)
        with pytest.raises(NotFound):  # it is of more than this one
            await service.backfills.show(everybodys.id, org="1")
