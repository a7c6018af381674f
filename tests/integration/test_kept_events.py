"""Events that go to the outbox in the commit of what they tell."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg
import pytest

import penstock as ps
from penstock.model.attempt import Instant
from penstock.model.errors import LeaseLost
from penstock.model.quality import Issue
from penstock.model.states import KEPT_EVENTS
from penstock.ports.records import FollowUp
from penstock.testing.contracts.ledger_case import PIPELINE, Stage, over, tried
from tests.integration.feeds import FIRST, FeedDay, Feeds, serving

pytestmark = pytest.mark.asyncio
ALL = "select seq, type, run_id, step, data, event_id from penstock.outbox order by seq"


async def told(service: Any) -> list[Any]:
    async with service.client.connection() as connection:
        return list(await (await connection.execute(ALL)).fetchall())


async def test_each_run_tells_its_story_in_order(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        await service.client.start(feeds.etl)
        await service.client.work()
        stories: dict[int, list[str]] = defaultdict(list)
        for _, kind, run, step, data, _ in await told(service):
            stories[run].append(f"{kind} {step or ''}".strip())
            if kind == "layer.completed" and step == "silver":
                assert data["counts"] == {"read": 20, "written": 18, "filtered": 2, "bytes": 2_000_000}
        assert len(stories) == 6
        for story in stories.values():
            assert story == [
                "execution.started",
                "quality.issue_detected silver",
                "quality.issue_detected silver",
                "layer.completed silver",
                "layer.completed gold",
                "execution.completed",
            ]


async def test_nobody_wants_any_and_there_is_none(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url, told=frozenset()) as service:
        await service.client.start(feeds.etl)
        await service.client.work()
        assert await told(service) == []


async def test_a_step_is_completed_once_however_often_it_was_tried(database_url: str) -> None:
    pipeline = ps.Pipeline("p", FeedDay, retry=ps.Retry(attempts=3, first=0.01, jitter=False))

    @pipeline.step
    async def load(units: list[FeedDay], ctx: ps.Context[FeedDay]) -> None:
        ctx.measure(total=ctx.attempt, valid=0, issues=[Issue(type="late", count=1)])
        if ctx.attempt < 3:
            raise ConnectionError("again")

    async with serving(ps.App("feeds", [pipeline]), database_url) as service:
        await service.client.start(pipeline, units=[next(Feeds().days())])
        await service.client.work()
        assert [(kind, step) for _, kind, _, step, _, _ in await told(service)] == [
            ("execution.started", None),
            *[("quality.issue_detected", "load")] * 3,
            ("layer.completed", "load"),
            ("execution.completed", None),
        ]
        assert (await service.executions.quality()).total_records == 3


async def test_a_layer_without_a_unit_left_is_not_completed(database_url: str) -> None:
    def refuse(unit: FeedDay, _: object) -> None:
        raise ps.InvalidData("no")

    feeds = Feeds(act=refuse)
    async with serving(feeds.app, database_url) as service:
        await service.client.start(feeds.etl, where={"feed_id": "a"}, start=FIRST, end=FIRST)
        await service.client.work()
        kinds = [kind for _, kind, *_ in await told(service)]
        assert (kinds[0], kinds[-1], "layer.completed" in kinds) == ("execution.started", "execution.failed", False)


async def test_the_same_thing_told_again_has_the_same_id(stage: Stage, database_url: str) -> None:
    await stage.apply("a", one_run=True)
    worker = await stage.ledger.open_worker("contract", "local", KEPT_EVENTS)
    try:
        (run,) = await worker.claim(1, [PIPELINE])
        await worker.attempt(tried(run))
        with psycopg.connect(database_url, autocommit=True) as connection:
            first = connection.execute(ALL.encode()).fetchall()
            assert [row[1] for row in first] == ["execution.started", "layer.completed"]
            await worker.attempt(tried(run))  # its answer was lost
            assert connection.execute(ALL.encode()).fetchall() == first
            connection.execute("delete from penstock.outbox")  # it was handed over meanwhile
            await worker.attempt(tried(run))
            assert [row[5] for row in connection.execute(ALL.encode()).fetchall()] == [first[1][5]]
    finally:
        await worker.close()


async def test_a_follow_up_tells_its_own_start(stage: Stage, database_url: str) -> None:
    await stage.apply("a", one_run=True)
    worker = await stage.ledger.open_worker("contract", "local", KEPT_EVENTS)
    try:
        (run,) = await worker.claim(1, [PIPELINE])
        await worker.end(over(run, "failed", follow=FollowUp(units=(0,), until=Instant(worker.now()), tries=1)))
        again = await stage.due(worker)
        with psycopg.connect(database_url) as connection:
            rows = connection.execute(ALL.encode()).fetchall()
        assert [(row[1], row[2]) for row in rows if row[1] == "execution.started"] == [
            ("execution.started", run.hold.run),
            ("execution.started", again.hold.run),
        ]
    finally:
        await worker.close()


async def test_a_late_zombie_tells_and_measures_nothing(stage: Stage, database_url: str) -> None:
    await stage.apply("a", one_run=True)
    worker = await stage.ledger.open_worker("contract", "local", KEPT_EVENTS)
    try:
        (run,) = await worker.claim(1, [PIPELINE])
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("update penstock.lanes set fence = fence + 1")
            quality = '[{"type":"total_records","count":9,"severity":"info"}]'
            with pytest.raises(LeaseLost):
                await worker.attempt(tried(run, quality=quality))
            assert connection.execute("select count(*) from penstock.quality_metrics").fetchone() == (0,)
            kinds = [row[1] for row in connection.execute(ALL.encode()).fetchall()]
            assert kinds == ["execution.started"]
    finally:
        await worker.close()
