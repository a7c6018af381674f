"""A trigger makes one run, answers with the one that is at it, or says that there is nothing to do."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

import penstock as ps
from penstock.model.errors import Conflict, InvalidData, NotFound
from tests.integration.feeds import FIRST, FeedDay, Feeds, serving

pytestmark = pytest.mark.asyncio
THIRD = date(2024, 1, 3)


async def test_one_run_takes_all_the_units(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        told = await service.triggers.trigger(feeds.etl, where={"feed_id": "a"}, start=FIRST, end=THIRD)
        assert (told.status, told.state) == ("scheduled", "scheduled")
        await service.client.work()
        (run,) = await service.client.runs(feeds.etl)
        assert (run.id, run.state) == (told.execution_id, "completed")
        assert [unit.day.day for unit in feeds.seen] == [1, 2, 3]


async def test_who_is_at_it_already_is_the_answer(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        first = await service.triggers.trigger(feeds.etl, where={"feed_id": "a"}, start=FIRST, end=THIRD)
        again = await service.triggers.trigger(feeds.etl, where={"feed_id": "a"}, start=THIRD, end=THIRD)
        assert again.execution_id == first.execution_id
        assert len(await service.client.runs(feeds.etl)) == 1


async def test_a_range_that_ends_before_it_starts_is_refused(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        with pytest.raises(InvalidData, match="start=2024-01-03 is after end=2024-01-01"):
            await service.triggers.trigger(feeds.etl, where={"feed_id": "a"}, start=THIRD, end=FIRST)
        with pytest.raises(InvalidData, match="is after"):
            await service.client.plan(feeds.etl, start=THIRD, end=FIRST)


async def test_nothing_to_do_is_a_run_that_says_so(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        await service.triggers.trigger(feeds.etl, where={"feed_id": "a"})
        await service.client.work()
        done = len(feeds.seen)
        told = await service.triggers.trigger(feeds.etl, where={"feed_id": "a"})
        assert (told.status, told.state) == ("completed", "skipped")
        shown = await service.executions.show(told.execution_id)
        assert (shown.pipeline_id, shown.pipeline_name, shown.org, shown.layers) == ("a", "Feed a", "1", {})
        assert await service.client.work() == frozenset()
        assert len(feeds.seen) == done
        forced = await service.triggers.trigger(feeds.etl, where={"feed_id": "a"}, force=True)
        assert forced.state == "scheduled"


async def test_several_lanes_are_a_backfill(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        with pytest.raises(ps.InvalidData, match="ask for a backfill"):
            await service.triggers.trigger(feeds.etl)
        assert await service.client.runs(feeds.etl) == []


async def test_what_nobody_wants_is_not_found(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        with pytest.raises(NotFound, match="no units of feed_id=zz"):
            await service.triggers.trigger(feeds.etl, where={"feed_id": "zz"})
        assert await service.client.runs(feeds.etl) == []


async def test_an_id_is_a_name_a_public_id_or_an_instance(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        assert await service.triggers.target("etl") == (feeds.etl, {})
        assert await service.triggers.target("a") == (feeds.etl, {"feed_id": "a"})
        await service.triggers.trigger(feeds.etl, where={"feed_id": "a"})
        async with service.client.connection() as connection:
            row = await (
                await connection.execute("select penstock.public_id(3, pipeline_id) from penstock.pipelines")
            ).fetchone()
        assert row is not None
        assert isinstance(row[0], UUID)
        assert await service.triggers.target(str(row[0])) == (feeds.etl, {})


async def test_an_organization_starts_its_own_alone(database_url: str) -> None:
    feeds = Feeds()
    plain = ps.Pipeline("plain", gaps=ps.DateGaps())

    @plain.step
    async def step(day: ps.Day) -> None: ...

    async with serving(ps.App("feeds", [feeds.etl, plain]), database_url) as service:
        await service.triggers.trigger(feeds.etl, org="2")  # of its own it has one lane
        (run,) = await service.executions.find()
        assert (run.org, run.pipeline_id) == ("2", "b")
        for where in ({"feed_id": "a"}, {"org_id": "1"}):
            with pytest.raises(NotFound):
                await service.triggers.trigger(feeds.etl, where=where, org="2")
        with pytest.raises(NotFound, match="no pipeline plain for organization 2"):
            await service.triggers.trigger(plain, org="2")


async def test_an_organization_is_told_no_names_but_its_own(database_url: str) -> None:
    plain = ps.Pipeline("plain", gaps=ps.DateGaps())
    own = ps.Pipeline("own", FeedDay, gaps=Feeds().days, org="org_id")

    @plain.step
    async def step(day: ps.Day) -> None: ...

    @own.step
    async def work(unit: FeedDay) -> None: ...

    async with serving(ps.App("feeds", [own, plain]), database_url) as service:
        with pytest.raises(NotFound, match=r"one of the names own\.$"):
            await service.triggers.target("nothing", org="2")
        with pytest.raises(NotFound, match=r"one of the names own, plain\.$"):
            await service.triggers.target("nothing")


async def test_what_a_budget_has_no_room_for_says_so(database_url: str) -> None:
    calls = ps.Quota("calls", 1)
    feeds = Feeds()
    costly = ps.Pipeline("costly", FeedDay, gaps=feeds.days, lane="feed_id", cost={calls: 5})

    @costly.step
    async def step(units: list[FeedDay]) -> None: ...

    async with serving(ps.App("feeds", [costly]), database_url) as service:
        with pytest.raises(Conflict, match="calls"):
            await service.triggers.trigger(costly, where={"feed_id": "a"})
