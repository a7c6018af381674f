# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What the end of a batch promises: every unit its own memory, and one more run for those that may be tried again."""

from __future__ import annotations

from dataclasses import replace

from penstock.ports.ledger import Worker
from penstock.ports.records import Claimed, EndRecord, FollowUp, UnitEnd
from penstock.testing.contracts.ledger_case import (
    PIPELINE,
    LedgerCase,
    Stage,
    called,
    late,
    listed,
    names,
    over,
    tried,
)


class BatchContract(LedgerCase):
    """Ends with failed units, follow-ups, `once`."""

    async def test_a_failed_unit_of_a_batch_is_remembered_on_its_own(self, stage: Stage) -> None:
        worker, run, end = await self._ended(stage)
        await worker.end(end)
        verdicts = {name: (await stage.unit(name))["verdict"] for name in "abc"}
        assert verdicts == {"a": "completed", "b": "failed", "c": "completed"}
        shown = await stage.ledger.run(run.hold.run)
        assert (shown.state, shown.size) == ("partial", 3)
        assert [unit["name"] for unit in shown.units] == ["a", "b", "c"]
        assert (await stage.plan(*"abc")).counts == {"failed": 1}

    async def test_a_follow_up_takes_the_units_and_the_steps_they_completed(self, stage: Stage) -> None:
        worker, run, end = await self._ended(stage)
        await worker.end(replace(end, follow=FollowUp(units=(1,), until=stage.soon(worker), tries=1)))
        plan = await stage.plan(*"abc", forced=True)
        assert plan.in_flight == 1
        assert not await stage.claim(worker)
        follow = await stage.due(worker)
        assert (names(follow), follow.tries, follow.claims, follow.plan) == (["b"], 1, 1, run.plan)
        assert follow.hold.lane == run.hold.lane
        assert follow.units[0].source_version == "1"
        history = await worker.history(follow.hold.run)
        assert [(step, n, outcome.kind) for step, n, outcome in history.tries] == [("read", 1, "done")]
        await worker.end(over(follow))
        assert (await stage.unit("b"))["verdict"] == "completed"
        assert await stage.ledger.tally(run.plan) == {"partial": 1, "completed": 1}

    async def test_a_follow_up_repeats_the_step_in_which_its_unit_failed(self, stage: Stage) -> None:
        worker, run = await stage.begin(*"ab")
        await worker.call(called(run, 0, "read", output="1"))
        await worker.call(called(run, 1, "read", state="failed", error_class="network", error="reset"))
        await worker.attempt(tried(run, 1, "read", units_left=1, units_failed=1))
        await worker.call(called(run, 0, "write"))
        await worker.attempt(tried(run, 2, "write", units_left=1, units_failed=1))
        units = (UnitEnd(no=0, verdict="completed", state="completed"), UnitEnd(no=1, verdict="failed", state="failed"))
        follow = FollowUp(units=(1,), until=worker.now(), tries=1)
        await worker.end(EndRecord(hold=run.hold, state="partial", units=units, follow=follow))
        again = await stage.due(worker)
        assert names(again) == ["b"]
        history = await worker.history(again.hold.run)
        assert (history.attempts, history.calls) == ((), ())

    async def test_a_late_end_makes_no_follow_up(self, stage: Stage) -> None:
        worker, run, end = await self._ended(stage)
        await stage.rest(worker, run, 0.0)
        await stage.due(worker)
        follow = FollowUp(units=(1,), until=worker.now(), tries=1)
        assert await late([worker.end(replace(end, follow=follow))]) == [True]
        assert await stage.ledger.tally(run.plan) == {"running": 1}

    async def test_a_follow_up_can_be_cancelled(self, stage: Stage) -> None:
        worker, run, end = await self._ended(stage)
        follow = FollowUp(units=(1,), until=stage.soon(worker, 1000), tries=1)
        await worker.end(replace(end, follow=follow))
        states = await stage.ledger.cancel(plan=run.plan)
        assert list(states.values()) == ["cancelled"]
        row = await stage.unit("b")
        assert (row["verdict"], row["active_run"]) == ("failed", None)
        assert await worker.housekeep([PIPELINE]) is None

    async def test_a_follow_up_is_deferred_until_it_is_due(self, stage: Stage) -> None:
        worker, _, end = await self._ended(stage)
        await worker.end(replace(end, follow=FollowUp(units=(1,), until=stage.soon(worker, 1000), tries=1)))
        left = await worker.outstanding([PIPELINE])
        assert (left.open, left.deferred) == (0, 1)

    async def test_a_lane_goes_on_while_its_follow_up_waits(self, stage: Stage) -> None:
        await stage.apply(listed("a", lane="x"), listed("b", lane="x"))
        worker = await stage.worker()
        run = await stage.one(worker)
        follow = FollowUp(units=(0,), until=stage.soon(worker, 1000), tries=1)
        second = await worker.end(replace(over(run, "failed", keep=True), follow=follow))
        assert second is not None
        assert names(second) == ["b"]

    async def test_what_is_kept_once_is_there_again(self, stage: Stage) -> None:
        worker, run = await stage.begin(listed("a", version="1"))
        unit = run.units[0].id
        assert await worker.once(unit, "1", "read") == {}
        await worker.keep_once(run.hold, (unit, "1"), "read", "page 1", '{"cost": 3}')
        await worker.keep_once(run.hold, (unit, "1"), "read", "page 2", "2")
        await worker.keep_once(run.hold, (unit, "1"), "write", "page 1", "3")
        assert await worker.once(unit, "1", "read") == {"page 1": '{"cost": 3}', "page 2": "2"}
        assert await worker.once(unit, "2", "read") == {}
        await worker.end(over(run, "failed"))
        await stage.apply(listed("a", version="1"))
        again = await stage.one(worker)
        assert again.units[0].id == unit
        assert len(await worker.once(unit, "1", "read")) == 2

    async def test_what_is_kept_once_goes_when_its_unit_completes(self, stage: Stage) -> None:
        worker, run = await stage.begin("a", "b")
        first, second = (unit.id for unit in run.units)
        for unit in (first, second):
            await worker.keep_once(run.hold, (unit, ""), "read", "page", "1")
        units = (UnitEnd(no=0, verdict="completed", state="completed"), UnitEnd(no=1, verdict="failed", state="failed"))
        await worker.end(EndRecord(hold=run.hold, state="partial", units=units))
        assert await worker.once(first, "", "read") == {}
        assert await worker.once(second, "", "read") == {"page": "1"}

    async def test_what_did_not_complete_is_told_after_the_end(self, stage: Stage) -> None:
        worker, run, end = await self._ended(stage)
        await worker.end(end)
        assert list(await stage.ledger.unfinished(run.hold.run)) == [{"name": "b"}]
        _, failed = await stage.begin("x", "y")
        await worker.end(over(failed, "failed"))
        assert list(await stage.ledger.unfinished(failed.hold.run)) == [{"name": "x"}, {"name": "y"}]

    async def _ended(self, stage: Stage) -> tuple[Worker, Claimed, EndRecord]:
        """A batch of three whose second unit failed in the second step."""
        worker, run = await stage.begin(*(listed(name, version="1") for name in "abc"))
        await worker.attempt(tried(run, 1, "read"))
        for no, state in ((0, "done"), (1, "failed"), (2, "done")):
            await worker.call(called(run, no, "write", state=state))
        await worker.attempt(tried(run, 2, "write", units_left=2, units_failed=1))
        units = tuple(
            UnitEnd(no=1, verdict="failed", counts=True, state="failed", error_class="network", error="reset")
            if no == 1
            else UnitEnd(no=no, verdict="completed", state="completed")
            for no in range(3)
        )
        return worker, run, EndRecord(hold=run.hold, state="partial", units=units)
