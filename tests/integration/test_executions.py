"""Runs as the API shows them, and what was found of their rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import penstock as ps
from penstock.model.errors import NotFound
from tests.integration.feeds import FIRST, LAST, FeedDay, Feeds, serving

pytestmark = pytest.mark.asyncio


def refuse_b(unit: FeedDay, _: object) -> None:
    if unit.feed_id == "b":
        raise ps.InvalidData("not this one")


async def test_states_layers_and_filters(database_url: str) -> None:
    feeds = Feeds(act=refuse_b)
    async with serving(feeds.app, database_url) as service:
        await service.client.start(feeds.etl, start=FIRST, end=date(2024, 1, 2))
        await service.client.work()
        await service.client.start(feeds.etl, where={"feed_id": "a"}, start=LAST, end=LAST)
        find = service.executions.find
        scheduled, failed, completed = await find()
        assert [one.status for one in (scheduled, failed, completed)] == ["scheduled", "failed", "completed"]
        silver, gold = completed.layers["silver"], completed.layers["gold"]
        assert (silver.records, silver.records_filtered, silver.size_mb) == (18, 2, 2.0)
        assert (gold.tables_updated, gold.records) == (["made"], None)
        assert completed.total_duration_ms is not None
        assert (failed.pipeline_id, failed.pipeline_name, failed.org) == ("b", "Feed b", "2")
        assert scheduled.layers == {}

        async def numbers(**given: Any) -> list[int]:
            return [one.number for one in await find(**given)]

        assert await numbers(status="failed") == [failed.number]
        assert await numbers(status="completed") == [completed.number]
        assert await numbers(status="scheduled") == [scheduled.number]
        assert await numbers(status="running") == []
        assert await numbers(pipeline_id="b") == [failed.number]
        assert await numbers(pipeline_id="etl") == [scheduled.number, failed.number, completed.number]
        assert await numbers(org="1") == [scheduled.number, completed.number]
        assert await numbers(pipeline_id="b", org="1") == []
        assert await numbers(limit=1) == [scheduled.number]
        assert await numbers(before=scheduled.number, limit=1) == [failed.number]
        today = datetime.now(UTC).date()
        assert len(await numbers(date_from=today - timedelta(days=1), date_to=today)) == 3
        assert await numbers(date_to=today - timedelta(days=2)) == []
        assert await numbers(date_from=today + timedelta(days=2)) == []
        with pytest.raises(ps.InvalidData, match="is after"):
            await find(date_from=today, date_to=today - timedelta(days=1))
        with pytest.raises(NotFound):
            await service.executions.show(failed.id, org="1")
        assert (await service.executions.show(failed.id, org="2")).number == failed.number


async def test_a_time_is_found_among_runs_of_many_days(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        await service.client.start(feeds.etl)
        async with service.client.connection() as connection:
            await connection.execute(
                "update penstock.runs set created_at = timestamptz '2024-03-01 12:00Z' + run_id * interval '1 day'"
            )
        found = await service.executions.find(date_from=date(2024, 3, 3), date_to=date(2024, 3, 4))
        assert [one.created_at.day for one in found] == [4, 3]
        assert len(await service.executions.find(date_to=date(2024, 3, 4))) == 3
        assert len(await service.executions.find(date_from=date(2024, 3, 3))) == 5


async def test_logs_of_an_execution(database_url: str) -> None:
    feeds = Feeds(act=lambda unit, ctx: ctx.log.info("looked", day=str(unit.day)))
    async with serving(feeds.app, database_url) as service:
        await service.client.start(feeds.etl, where={"feed_id": "a"}, start=FIRST, end=FIRST)
        await service.client.work()
        (run,) = await service.executions.find()
        (line,) = await service.executions.logs(run.id)
        assert (line.layer, line.message, line.fields) == ("silver", "looked", {"day": "2024-01-01"})
        assert await service.executions.logs(run.id, after=line.number) == []


async def test_quality_is_added_up_by_instance(database_url: str) -> None:
    feeds = Feeds()
    async with serving(feeds.app, database_url) as service:
        empty = await service.executions.quality()
        assert (empty.total_records, empty.quality_score) == (0, 100.0)
        await service.client.start(feeds.etl)
        await service.client.work()
        whole = await service.executions.quality()
        assert (whole.total_records, whole.valid_records, whole.quality_score) == (120, 108, 90.0)
        assert whole.issues == {"missing_fields": 12, "invalid_types": 0, "duplicates": 0}
        assert [(one.pipeline_id, one.pipeline_name, one.issues) for one in whole.by_pipeline] == [
            ("a", "Feed a", 6), ("b", "Feed b", 6),
        ]  # fmt: skip
        assert (await service.executions.quality(org="2")).total_records == 60
        assert (await service.executions.quality(now=datetime.now(UTC) + timedelta(days=2))).total_records == 0


async def test_the_last_attempt_has_the_word(database_url: str) -> None:
    tries: list[int] = []
    pipeline = ps.Pipeline("p", FeedDay, gaps=Feeds().days, retry=ps.Retry(attempts=3, first=0, jitter=False))

    @pipeline.step
    async def step(units: list[FeedDay], ctx: ps.Context[FeedDay]) -> None:
        tries.append(ctx.attempt)
        if ctx.attempt < 3:
            ctx.measure(total=100, valid=10 * ctx.attempt)
            raise ConnectionError("again")

    async with serving(ps.App("feeds", [pipeline]), database_url) as service:
        await service.client.start(pipeline, where={"feed_id": "a"}, units=[next(Feeds().days())])
        await service.client.work()
        assert tries == [1, 2, 3]
        assert (await service.executions.quality()).total_records == 0  # the last one said nothing


async def test_what_does_not_commit_measures_nothing(database_url: str) -> None:
    pipeline = ps.Pipeline("p", FeedDay, retry=ps.Retry(attempts=1))

    @pipeline.step
    async def step(unit: FeedDay, db: ps.Transaction, ctx: ps.Context[FeedDay]) -> None:
        ctx.measure(total=10, valid=10)
        await db.execute("create table made (n int unique deferrable initially deferred)")
        await db.execute("insert into made values (1), (1)")

    async with serving(ps.App("feeds", [pipeline]), database_url) as service:
        await service.client.start(pipeline, units=[next(Feeds().days())])
        await service.client.work()
        (run,) = await service.executions.find()
        assert run.status == "failed"
        async with service.client.connection() as connection:
            found = await (await connection.execute("select metric_type, count from penstock.v1_quality")).fetchall()
        assert found == []


async def test_more_valid_ones_than_there_are_is_refused(database_url: str) -> None:
    pipeline = ps.Pipeline("p", FeedDay, retry=ps.Retry(attempts=1))

    @pipeline.step
    async def step(unit: FeedDay, ctx: ps.Context[FeedDay]) -> None:
        ctx.measure(total=1, valid=2)

    async with serving(ps.App("feeds", [pipeline]), database_url) as service:
        await service.client.start(pipeline, units=[next(Feeds().days())])
        await service.client.work()
        (run,) = await service.executions.find()
        assert "valid is between 0 and total" in str(run.layers["step"].error or run.error)
