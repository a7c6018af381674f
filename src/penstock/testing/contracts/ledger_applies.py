# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What applying a plan promises: each unit in one run, whoever else applies."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.model.attempt import RunId
from penstock.model.shape import Shape
from penstock.ports.ledger import Worker
from penstock.ports.records import Claimed
from penstock.testing.contracts.ledger_case import STEPS, LedgerCase, Stage, called, listed, names, over, tried


class ApplyContract(LedgerCase):
    """No unit twice, nothing that changed since it was planned, the same answer a second time."""

    async def test_every_unit_gets_its_run(self, stage: Stage) -> None:
        applied = await stage.apply("a", "b", params='{"x": 1}', triggered_by="cron")
        assert (applied.runs, applied.dropped) == (2, {})
        assert await stage.ledger.tally(applied.plan) == {"scheduled": 2}
        claimed = await stage.claim(await stage.worker())
        assert sorted(map(names, claimed)) == [["a"], ["b"]]
        for run in claimed:
            assert json.loads(run.params or "") == {"x": 1}
            assert (run.plan, run.shape, run.claims, run.losses, run.tries) == (applied.plan, STEPS, 1, 0, 0)
            assert [(unit.no, unit.reason, unit.state) for unit in run.units] == [(0, "missing", None)]

    async def test_a_second_apply_answers_like_the_first(self, stage: Stage) -> None:
        plan = await stage.plan("a", "b")
        other = await stage.plan("b")
        await stage.ledger.apply(other.id, triggered_by="test")
        first = await stage.ledger.apply(plan.id, triggered_by="test")
        assert (first.runs, first.dropped) == (1, {"taken by another": 1})
        assert await stage.ledger.apply(plan.id, triggered_by="again") == first
        assert await stage.ledger.tally(plan.id) == {"scheduled": 1}
        assert (await stage.ledger.stored_plan(plan.id)).dropped == first.dropped

    async def test_two_who_apply_one_plan_make_each_unit_once(self, stage: Stage) -> None:
        plan = await stage.plan(*(f"u{n}" for n in range(50)))
        applied = await asyncio.gather(*(stage.ledger.apply(plan.id, triggered_by="test") for _ in range(4)))
        assert {(a.runs, len(a.dropped)) for a in applied} == {(50, 0)}
        assert await stage.ledger.tally(plan.id) == {"scheduled": 50}

    async def test_two_who_apply_overlapping_plans_make_each_unit_once(self, stage: Stage) -> None:
        everything = [f"u{n:03}" for n in range(60)]
        plans = [await stage.plan(*part) for part in (everything[:40], everything[20:], everything, everything[::-1])]
        applied = await asyncio.gather(*(stage.ledger.apply(plan.id, triggered_by="test") for plan in plans))
        assert sum(a.runs for a in applied) == 60
        for plan, done in zip(plans, applied, strict=True):
            assert done.runs + done.dropped.get("taken by another", 0) == plan.runs
        claimed = await stage.claim(await stage.worker(), 100)
        assert sorted(name for run in claimed for name in names(run)) == everything

    async def test_a_unit_that_changed_since_it_was_planned_is_dropped_and_counted(self, stage: Stage) -> None:
        worker = await stage.worker()
        first, second = await stage.plan("a"), await stage.plan("a", "b")
        await stage.ledger.apply(first.id, triggered_by="test")
        await worker.end(over(await stage.one(worker)))
        applied = await stage.ledger.apply(second.id, triggered_by="test")
        assert (applied.runs, applied.dropped) == (1, {"changed since planned": 1})
        assert names(await stage.one(worker)) == ["b"]

    async def test_a_batch_goes_on_without_what_was_taken(self, stage: Stage) -> None:
        whole, part = await stage.plan(*"abc", one_run=True), await stage.plan("b")
        await stage.ledger.apply(part.id, triggered_by="test")
        applied = await stage.ledger.apply(whole.id, triggered_by="test")
        assert (applied.runs, applied.dropped) == (1, {"taken by another": 1})
        claimed = await stage.claim(await stage.worker())
        assert sorted(map(names, claimed)) == [["a", "c"], ["b"]]
        assert [unit.no for run in claimed for unit in run.units if names(run) == ["a", "c"]] == [0, 1]

    async def test_a_unit_that_is_listed_anew_is_stored_anew(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed")
        changed = listed("a")
        await stage.apply(type(changed)(key=changed.key, unit={"name": "a", "title": "A"}), forced=True)
        assert (await stage.one(worker)).units[0].unit == {"name": "a", "title": "A"}

    async def test_a_retry_takes_over_the_steps_that_completed(self, stage: Stage) -> None:
        worker, new = await self._retried(stage)
        history = await worker.history(new.hold.run)
        assert [(a.seq, a.step, a.attempt, a.state, a.output) for a in history.attempts] == [
            (1, "read", 1, "done", '{"rows": 3}')
        ]
        assert [(step, n, outcome.kind, outcome.units_left) for step, n, outcome in history.tries] == [
            ("read", 1, "done", 2)
        ]
        assert sorted((c.step, c.unit_no, c.state) for c in history.calls) == [("write", 1, "done")]
        steps = (await stage.ledger.run(new.hold.run)).steps
        assert [(step.step, step.state, step.output) for step in steps] == [
            ("read", "completed", {"rows": 3}),
            ("write", None, None),
        ]

    @pytest.mark.parametrize("changed", ["version", "shape", "units"])
    async def test_a_retry_of_something_else_takes_over_nothing(self, stage: Stage, changed: str) -> None:
        worker, new = await self._retried(stage, changed)
        assert await worker.history(new.hold.run) == type(await worker.history(RunId(10**9)))()

    async def _retried(self, stage: Stage, changed: str = "") -> tuple[Worker, Claimed]:
        """A run of a and b that failed in its second step, and the run that comes after it."""
        worker, old = await stage.begin(listed("a", version="1"), listed("b", version="1"))
        await worker.attempt(tried(old, 1, "read", output='{"rows": 3}'))
        await worker.call(called(old, 0, "write", state="failed", error_class="data", error="no"))
        await worker.call(called(old, 1, "write"))
        await worker.attempt(tried(old, 2, "write", "failed", error_class="data", error="no", units_failed=1))
        await worker.end(over(old, "failed", error_class="data", error="no", failed_step="write"))
        version = "2" if changed == "version" else "1"
        units = [listed("a", version=version), listed("b", version="1")]
        if changed == "units":
            units.append(listed("c"))
        shape = STEPS if changed != "shape" else Shape(steps=STEPS.steps[:1])
        plan = await stage.plan(*units, one_run=True, shape=shape)
        await stage.ledger.apply(plan.id, triggered_by="retry", copy_from=old.hold.run)
        return worker, await stage.one(worker)
