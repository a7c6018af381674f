# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What planning promises."""

from __future__ import annotations

import asyncio

import pytest

from penstock.model.attempt import PlanId
from penstock.model.errors import Conflict, DefinitionError, NotFound
from penstock.testing.contracts.ledger_case import BATCHES, LedgerCase, Stage, listed, names, over


class PlanContract(LedgerCase):
    """Gaps, their order, their lanes and their runs."""

    async def test_gaps_are_counted_by_reason(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "done", "completed")
        await stage.remember(worker, "old", "completed", version="1")
        await stage.remember(worker, "failed", "failed")
        await stage.remember(worker, "rejected", "failed", verdict="rejected")
        await stage.remember(worker, "half", "partial")
        await stage.remember(worker, "nothing", "failed", verdict="no_data")
        await stage.remember(worker, "stopped", "cancelled")
        wanted = [
            listed("new"), listed("done"), listed("old", version="2"), listed("failed"), listed("rejected"),
            listed("half"), listed("nothing"), listed("stopped"),
        ]  # fmt: skip
        plan = await stage.plan(*wanted)
        assert plan.counts == {"missing": 3, "stale": 1, "failed": 1, "rejected": 1, "partial": 1}
        assert (plan.state, plan.runs, plan.in_flight, plan.forced) == ("open", 7, 0, False)
        forced = await stage.plan(*wanted, forced=True)
        assert forced.counts == {**plan.counts, "forced": 1}
        assert forced.forced

    async def test_an_empty_plan_is_a_plan(self, stage: Stage) -> None:
        plan = await stage.plan()
        assert (plan.counts, plan.runs, plan.lanes, plan.longest_lane) == ({}, 0, 0, 0)
        applied = await stage.ledger.apply(plan.id, triggered_by="test")
        assert (applied.runs, applied.dropped) == (0, {})

    async def test_gaps_come_by_priority_then_as_they_were_listed(self, stage: Stage) -> None:
        plan = await stage.plan("c", listed("b", priority=2), "a", listed("d", priority=-1), listed("e", priority=2))
        gaps = await stage.ledger.gaps(plan.id, 0, 10)
        assert [gap.unit["name"] for gap in gaps] == ["b", "e", "c", "a", "d"]
        assert [gap.priority for gap in gaps] == [2, 2, 0, 0, -1]
        assert {gap.reason for gap in gaps} == {"missing"}

    async def test_gaps_are_read_a_page_at_a_time(self, stage: Stage) -> None:
        plan = await stage.plan("a", "b", "c")
        first = await stage.ledger.gaps(plan.id, 0, 2)
        rest = await stage.ledger.gaps(plan.id, first[-1].position, 2)
        assert [gap.unit["name"] for gap in [*first, *rest]] == ["a", "b", "c"]
        assert not await stage.ledger.gaps(plan.id, rest[-1].position, 2)

    async def test_a_unit_without_a_lane_has_one_of_its_own(self, stage: Stage) -> None:
        plan = await stage.plan("a", "b", "c")
        assert (plan.lanes, plan.longest_lane) == (3, 1)

    async def test_units_of_one_lane_share_it(self, stage: Stage) -> None:
        plan = await stage.plan(listed("a", lane="x"), listed("b", lane="y"), listed("c", lane="x"))
        assert (plan.lanes, plan.longest_lane) == (2, 2)
        assert [gap.lane for gap in await stage.ledger.gaps(plan.id, 0, 9)] == ["x", "y", "x"]

    async def test_a_batch_is_cut_in_plan_order_and_never_across_lanes(self, stage: Stage) -> None:
        plan = await stage.plan(*(listed(name, lane="x" if name in "abce" else "y") for name in "abcde"), shape=BATCHES)
        assert (plan.runs, plan.lanes, plan.longest_lane) == (3, 2, 2)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        first, other = await stage.claim(worker)
        assert [names(first), names(other)] == [["a", "b", "c"], ["d"]]
        await worker.end(over(first))
        assert names(await stage.one(worker)) == ["e"]

    async def test_a_batch_without_lanes_is_one_lane(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcd", shape=BATCHES)
        assert (plan.runs, plan.lanes) == (2, 2)
        await stage.ledger.apply(plan.id, triggered_by="test")
        assert [names(run) for run in await stage.claim(await stage.worker())] == [["a", "b", "c"], ["d"]]

    async def test_a_unit_that_must_travel_alone_has_a_run_of_its_own_until_it_completes(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "b", "failed", alone=True)
        await stage.apply(*"abcd", shape=BATCHES)
        runs = await stage.claim(worker)
        assert sorted(map(names, runs)) == [["a", "c", "d"], ["b"]]
        for run in runs:
            await worker.end(over(run))
        await stage.apply(*"abc", shape=BATCHES, forced=True)
        assert names(await stage.one(worker)) == ["a", "b", "c"]

    async def test_one_run_takes_all_units(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcde", one_run=True, shape=BATCHES)
        assert (plan.runs, plan.lanes) == (1, 1)
        await stage.ledger.apply(plan.id, triggered_by="test")
        assert names(await stage.one(await stage.worker())) == list("abcde")

    async def test_a_unit_in_flight_is_no_gap_but_counted(self, stage: Stage) -> None:
        await stage.apply("a")
        plan = await stage.plan("a", "b", forced=True)
        assert (plan.counts, plan.in_flight) == ({"missing": 1}, 1)
        worker = await stage.worker()
        await worker.end(over(await stage.one(worker)))
        plan = await stage.plan("a", "b")
        assert (plan.counts, plan.in_flight) == ({"missing": 1}, 0)

    async def test_a_unit_listed_twice_is_refused(self, stage: Stage) -> None:
        with pytest.raises(DefinitionError, match=r"gives \(a\) more than once"):
            await stage.plan("a", "b", "a")

    async def test_plans_of_two_pipelines_do_not_meet(self, stage: Stage) -> None:
        await stage.apply("a", pipeline="one")
        plan = await stage.plan("a", pipeline="two")
        assert (plan.counts, plan.in_flight) == ({"missing": 1}, 0)

    async def test_pipelines_may_be_planned_for_the_first_time_at_once(self, stage: Stage) -> None:
        plans = await asyncio.gather(*(stage.plan("a") for _ in range(5)))
        assert len({plan.id for plan in plans}) == 5

    async def test_a_plan_is_read_again(self, stage: Stage) -> None:
        plan = await stage.plan("a", "b", definition="abc")
        again = await stage.ledger.stored_plan(plan.id)
        assert (again.id, again.uuid, again.counts, again.definition) == (plan.id, plan.uuid, plan.counts, "abc")
        assert 0 <= again.age < 60
        await stage.ledger.apply(plan.id, triggered_by="test")
        applied = await stage.ledger.stored_plan(plan.id)
        assert (applied.state, applied.counts, applied.runs) == ("applied", {"missing": 2}, 2)
        assert applied.applied_at is not None

    async def test_a_discarded_plan_is_not_applied(self, stage: Stage) -> None:
        plan = await stage.plan("a")
        await stage.ledger.discard(plan.id)
        assert (await stage.ledger.stored_plan(plan.id)).state == "discarded"
        assert not await stage.ledger.gaps(plan.id, 0, 9)
        with pytest.raises(Conflict):
            await stage.ledger.apply(plan.id, triggered_by="test")
        await stage.ledger.discard(plan.id)

    async def test_an_applied_plan_is_not_discarded(self, stage: Stage) -> None:
        plan = await stage.plan("a")
        await stage.ledger.apply(plan.id, triggered_by="test")
        with pytest.raises(Conflict):
            await stage.ledger.discard(plan.id)

    async def test_a_plan_that_is_not_there_is_not_found(self, stage: Stage) -> None:
        nowhere = PlanId(10**9)
        with pytest.raises(NotFound):
            await stage.ledger.stored_plan(nowhere)
        with pytest.raises(NotFound):
            await stage.ledger.apply(nowhere, triggered_by="test")
        with pytest.raises(NotFound):
            await stage.ledger.discard(nowhere)
