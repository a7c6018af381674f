# ruff: noqa: S101 - a contract is made of assertions and expected numbers
"""What people's orders promise: cancel, pause, resume, forget."""

from __future__ import annotations

import pytest

from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import NotFound
from penstock.testing.contracts.ledger_case import (
    APP,
    PIPELINE,
    LedgerCase,
    Stage,
    key,
    listed,
    names,
    over,
    tried,
)


class SteeringContract(LedgerCase):
    """Cancel, pause, resume, forget."""

    async def test_a_run_that_never_began_is_cancelled_at_once(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", counts=True, first=1000.0, limit=1000.0)
        before = await stage.unit("a")
        applied = await stage.apply("a", forced=True)
        (run,) = await stage.ledger.runs(app=APP, plan=applied.plan)
        assert await stage.ledger.cancel(run=run.id) == {run.id: "cancelled"}
        assert (await stage.ledger.run(run.id)).state == "cancelled"
        assert not await stage.claim(worker)
        after = await stage.unit("a")
        assert after["rev"] > before["rev"]
        same = ("verdict", "failures", "not_before", "source_version", "active_run")
        assert [after[name] for name in same] == [before[name] for name in same]
        assert (await stage.plan("a", forced=True)).counts == {"failed": 1}

    async def test_a_running_run_is_asked_to_stop(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        assert await worker.cancelled([run.hold.run]) == []
        assert await stage.ledger.cancel(run=run.hold.run) == {run.hold.run: "running"}
        assert list(await worker.cancelled([run.hold.run, RunId(10**9)])) == [run.hold.run]
        await worker.attempt(tried(run, state="cancelled"))
        await worker.end(over(run, "cancelled"))
        assert (await stage.ledger.run(run.hold.run)).state == "cancelled"
        assert await stage.ledger.cancel(run=run.hold.run) == {run.hold.run: "cancelled"}

    async def test_a_run_that_waits_is_woken_to_be_cancelled(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 1000)
        assert await stage.ledger.cancel(run=run.hold.run) == {run.hold.run: "waiting"}
        again = await stage.one(worker)
        assert (again.hold.run, again.cancel) == (run.hold.run, True)

    async def test_a_run_that_waits_without_its_lane_is_woken_to_be_cancelled(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 1000, keep_lane=False)
        assert await stage.ledger.cancel(run=run.hold.run) == {run.hold.run: "scheduled"}
        again = await stage.one(worker)
        assert (again.hold.run, again.cancel) == (run.hold.run, True)

    async def test_cancelling_a_plan_cancels_what_is_live(self, stage: Stage) -> None:
        applied = await stage.apply(*(listed(name, lane="x") for name in "abc"))
        other = await stage.apply("d")
        worker = await stage.worker()
        (first,) = await stage.claim(worker, 1)
        second = await worker.end(over(first, keep=True))
        assert second is not None
        states = await stage.ledger.cancel(plan=applied.plan)
        assert sorted(states.values()) == ["cancelled", "running"]
        assert await stage.ledger.tally(applied.plan) == {"completed": 1, "running": 1, "cancelled": 1}
        assert await stage.ledger.tally(other.plan) == {"scheduled": 1}
        assert await worker.end(over(second, "cancelled", keep=True)) is None

    async def test_a_run_that_is_not_there_cannot_be_cancelled(self, stage: Stage) -> None:
        with pytest.raises(NotFound):
            await stage.ledger.cancel(run=RunId(10**9))

    async def test_of_a_paused_plan_no_further_run_starts(self, stage: Stage) -> None:
        applied = await stage.apply(*(listed(name, lane="x") for name in "abc"))
        worker = await stage.worker()
        run = await stage.one(worker)
        await stage.ledger.pause(plan=applied.plan, paused=True)
        assert (await stage.ledger.stored_plan(applied.plan)).paused
        await worker.attempt(tried(run))
        assert await worker.end(over(run, keep=True)) is None
        assert not await stage.claim(worker)
        await stage.apply(listed("d", lane="x"))
        other = await stage.one(worker)
        assert names(other) == ["d"]
        await worker.end(over(other))
        await stage.ledger.pause(plan=applied.plan, paused=False)
        assert names(await stage.one(worker)) == ["b"]

    async def test_a_plan_paused_before_it_is_applied_starts_when_it_is_resumed(self, stage: Stage) -> None:
        plan = await stage.plan("a")
        await stage.ledger.pause(plan=plan.id, paused=True)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        assert not await stage.claim(worker)
        await stage.ledger.pause(plan=plan.id, paused=False)
        assert names(await stage.one(worker)) == ["a"]

    async def test_of_a_paused_pipeline_no_further_run_starts(self, stage: Stage) -> None:
        await stage.apply("a")
        await stage.apply("a", pipeline="other")
        worker, both = await stage.worker(), [PIPELINE, "other"]
        await stage.ledger.pause(pipeline=(APP, PIPELINE), paused=True)
        await stage.apply("b")
        assert [run.pipeline for run in await stage.claim(worker, pipelines=both)] == ["other"]
        assert not await stage.claim(worker, pipelines=both)
        await stage.ledger.pause(pipeline=(APP, PIPELINE), paused=False)
        assert sorted(map(names, await stage.claim(worker))) == [["a"], ["b"]]

    async def test_a_plan_stays_paused_while_its_pipeline_is(self, stage: Stage) -> None:
        applied = await stage.apply("a")
        worker = await stage.worker()
        await stage.ledger.pause(plan=applied.plan, paused=True)
        await stage.ledger.pause(pipeline=(APP, PIPELINE), paused=True)
        await stage.ledger.pause(plan=applied.plan, paused=False)
        assert not await stage.claim(worker)
        await stage.ledger.pause(pipeline=(APP, PIPELINE), paused=False)
        assert names(await stage.one(worker)) == ["a"]

    async def test_what_waits_stays_until_it_is_due_when_its_plan_is_resumed(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 0.2, keep_lane=False)
        await stage.ledger.pause(plan=run.plan, paused=True)
        await stage.ledger.pause(plan=run.plan, paused=False)
        assert not await stage.claim(worker)
        assert names(await stage.due(worker)) == ["a"]

    async def test_a_run_that_had_begun_goes_on_while_its_plan_is_paused(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await stage.rest(worker, run, 0.05)
        await stage.ledger.pause(plan=run.plan, paused=True)
        assert names(await stage.due(worker)) == ["a"]

    async def test_only_what_is_there_can_be_paused(self, stage: Stage) -> None:
        with pytest.raises(NotFound):
            await stage.ledger.pause(plan=PlanId(10**9), paused=True)
        with pytest.raises(NotFound):
            await stage.ledger.pause(pipeline=(APP, "nowhere"), paused=True)

    async def test_forgetting_makes_units_gaps_at_once(self, stage: Stage) -> None:
        worker = await stage.worker()
        for name in "ab":
            await stage.remember(worker, name, "failed", counts=True, first=1000.0, limit=1000.0)
        assert (await stage.plan("a", "b")).counts == {}
        assert await stage.ledger.forget(APP, PIPELINE, [key("a"), key("nowhere")]) == 1
        assert (await stage.plan("a", "b")).counts == {"failed": 1}
        assert ((await stage.unit("a"))["failures"], (await stage.unit("a"))["not_before"]) == (0, None)

    async def test_a_unit_in_flight_is_not_forgotten(self, stage: Stage) -> None:
        await stage.apply("a")
        assert await stage.ledger.forget(APP, PIPELINE, [key("a")]) == 0

    async def test_a_plan_made_before_its_unit_was_forgotten_does_not_take_it(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed")
        plan = await stage.plan("a")
        await stage.ledger.forget(APP, PIPELINE, [key("a")])
        applied = await stage.ledger.apply(plan.id, triggered_by="test")
        assert (applied.runs, applied.dropped) == (0, {"changed since planned": 1})
