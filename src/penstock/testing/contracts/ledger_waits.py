# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What waiting promises: nobody owns a run that waits, and it comes back when it is due."""

from __future__ import annotations

import asyncio

import pytest

from penstock.testing.contracts.ledger_case import (
    PIPELINE,
    LedgerCase,
    Stage,
    listed,
    names,
    over,
    tried,
)


class WaitContract(LedgerCase):
    """Short waits, long waits, news."""

    async def test_a_short_wait_keeps_its_lane_until_it_is_due(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker = await stage.worker()
        run = await stage.one(worker)
        await worker.attempt(tried(run))
        await stage.rest(worker, run, 0.3)
        shown = await stage.ledger.run(run.hold.run)
        assert (shown.state, shown.wait_reason) == ("waiting", "backoff")
        assert shown.not_before is not None
        assert abs(shown.not_before.timestamp() - worker.now() - 0.3) < 0.25
        assert not await stage.claim(worker)
        again = await stage.due(worker)
        assert (names(again), again.claims) == (["a"], 2)
        assert worker.now() >= shown.not_before.timestamp() - 0.05
        assert len((await worker.history(run.hold.run)).tries) == 1
        shown = await stage.ledger.run(run.hold.run)
        assert (shown.state, shown.wait_reason, shown.not_before) == ("running", None, None)

    async def test_a_long_wait_frees_its_lane_and_comes_back_when_it_is_due(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker = await stage.worker()
        run = await stage.one(worker)
        await worker.attempt(tried(run))
        await stage.rest(worker, run, 0.3, keep_lane=False)
        assert (await stage.ledger.run(run.hold.run)).state == "scheduled"
        second = await stage.one(worker)
        assert names(second) == ["b"]
        await worker.end(over(second))
        await worker.housekeep([PIPELINE])
        assert not await stage.claim(worker)
        again = await stage.due(worker)
        assert (names(again), again.claims, again.started) == (["a"], 2, run.started)
        assert len((await worker.history(run.hold.run)).tries) == 1

    async def test_a_long_wait_that_is_due_does_not_disturb_its_lane(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker = await stage.worker()
        run = await stage.one(worker)
        await stage.rest(worker, run, 0.0, keep_lane=False)
        second = await stage.one(worker)
        await asyncio.sleep(0.01)
        await worker.housekeep([PIPELINE])
        assert not await stage.claim(worker)
        assert await worker.end(over(second, keep=True)) is None, "a run that had begun is claimed, not kept"
        assert names(await stage.one(worker)) == ["a"]

    @pytest.mark.parametrize("keep_lane", [True, False])
    async def test_a_run_that_was_asked_to_stop_does_not_wait(self, stage: Stage, *, keep_lane: bool) -> None:
        worker, run = await stage.begin("a")
        await stage.ledger.cancel(run=run.hold.run)
        await stage.rest(worker, run, 3_600, keep_lane=keep_lane)
        again = await stage.one(worker)
        assert (again.hold.run, again.cancel) == (run.hold.run, True)

    async def test_a_unit_of_a_run_that_waits_is_in_flight(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 60, keep_lane=False)
        plan = await stage.plan("a", forced=True)
        assert (plan.counts, plan.in_flight) == ({}, 1)

    async def test_housekeeping_tells_when_the_next_run_is_due(self, stage: Stage) -> None:
        worker = await stage.worker()
        assert await worker.housekeep([PIPELINE]) is None
        await stage.apply("a", "b")
        first, second = await stage.claim(worker)
        await stage.rest(worker, first, 100, keep_lane=False)
        await stage.rest(worker, second, 50, keep_lane=False)
        due = await worker.housekeep([PIPELINE])
        assert due is not None
        assert abs(due - 50) < 2

    async def test_what_other_pipelines_wait_for_is_not_told(self, stage: Stage) -> None:
        worker, run = await stage.begin("a", pipeline="other")
        await stage.rest(worker, run, 50, keep_lane=False)
        await stage.plan("a")
        assert await worker.housekeep([PIPELINE]) is None
        assert await worker.housekeep(["other"]) is not None

    async def test_a_paused_run_is_not_told_as_due(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 0.0, keep_lane=False)
        await stage.ledger.pause(plan=run.plan, paused=True)
        await asyncio.sleep(0.01)
        assert await worker.housekeep([PIPELINE]) is None
        assert not await stage.claim(worker)
        await stage.ledger.pause(plan=run.plan, paused=False)
        assert names(await stage.due(worker)) == ["a"]

    async def test_what_is_outstanding_is_told_by_whose_it_is(self, stage: Stage) -> None:
        await stage.apply(*"abcde")
        worker, other = await stage.worker(), await stage.worker("other")
        (mine,) = await stage.claim(worker, 1)
        await stage.claim(other, 1)
        (resting,) = await stage.claim(worker, 1)
        await stage.rest(worker, resting, 60)
        (deferred,) = await stage.claim(worker, 1)
        await stage.rest(worker, deferred, 90, keep_lane=False)
        left = await worker.outstanding([PIPELINE])
        assert (left.open, left.elsewhere, left.deferred) == (3, 1, 1)
        assert left.first is not None
        assert abs(left.first.timestamp() - worker.now() - 90) < 2
        await worker.end(over(mine))
        await stage.kill(other)
        await worker.housekeep([PIPELINE])
        left = await worker.outstanding([PIPELINE])
        assert (left.open, left.elsewhere, left.deferred) == (3, 0, 1)
        assert (await worker.outstanding([])).open == 0

    async def test_what_is_elsewhere_may_be_asked_of_one_plan(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        applied = await stage.apply("b")
        await stage.one(worker)
        other = await stage.worker("other")
        assert (await other.outstanding([PIPELINE])).elsewhere == 2
        assert (await other.outstanding([PIPELINE], run.plan)).elsewhere == 1
        assert (await other.outstanding([PIPELINE], applied.plan)).elsewhere == 1

    async def test_paused_runs_are_deferred_without_a_time(self, stage: Stage) -> None:
        applied = await stage.apply("a", "b")
        await stage.ledger.pause(plan=applied.plan, paused=True)
        left = await (await stage.worker()).outstanding([PIPELINE])
        assert (left.open, left.elsewhere, left.deferred, left.first) == (0, 0, 2, None)

    async def test_news_ends_the_wait_for_it(self, stage: Stage) -> None:
        worker = await stage.worker()
        await worker.changed(0.0)
        await asyncio.wait_for(worker.changed(0.05), 5)
        await asyncio.sleep(0.1)  # a process listens a moment after it was opened
        waiting = asyncio.create_task(worker.changed(60))
        await asyncio.sleep(0.05)
        await stage.apply("a")
        await asyncio.wait_for(waiting, 5)
