# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""Quotas: what is drawn is never more than there is, what runs may cost is reserved, what does not fit waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from penstock.model.attempt import Instant
from penstock.model.errors import LeaseLost
from penstock.model.quota import Quota, UnitCost
from penstock.ports.ledger import Ledger, Worker
from penstock.ports.records import Claimed, QuotaUse, Refused, WaitRecord
from penstock.testing.contracts.ledger_case import APP, PIPELINE, LedgerCase, Stage, listed, names, over

DAY = Quota("usd", 10, per="day", timezone="America/Toronto")
RUN = Quota("usd_a_run", 2, per="run")
ROOM = Quota("sessions", 2, per=None)
TWO = (UnitCost(DAY, amount=Decimal(2)),)


async def use(ledger: Ledger, name: str = "usd") -> QuotaUse:
    """The quota of this name."""
    (found,) = [one for one in await ledger.quotas(APP) if one.name == name]
    return found


async def draw(worker: Worker, run: Claimed, *draws: tuple[Quota, int | str]) -> list[int] | Refused:
    """Draw in a step."""
    granted = await worker.spend(run.hold, "write", [(quota, Decimal(amount)) for quota, amount in draws])
    return granted if isinstance(granted, Refused) else list(granted)


async def drawn(worker: Worker, run: Claimed, *draws: tuple[Quota, int | str]) -> list[int]:
    """Draw what fits."""
    granted = await draw(worker, run, *draws)
    assert not isinstance(granted, Refused)
    return granted


class QuotaContract(LedgerCase):
    """A draw counts at its worst case until it is settled, and nobody draws what is not there."""

    async def test_a_draw_counts_at_its_worst_case_until_it_is_settled(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        (number,) = await drawn(worker, run, (DAY, 7))
        before = await use(stage.ledger)
        assert (before.used, before.open, before.limit) == (Decimal(7), Decimal(7), Decimal(10))
        await worker.settle([(number, Decimal("1.25"))])
        after = await use(stage.ledger)
        assert (after.used, after.open) == (Decimal("1.25"), Decimal(0))

    async def test_a_draw_is_settled_once(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        (number,) = await drawn(worker, run, (DAY, 7))
        await worker.settle([(number, Decimal(3))])
        await worker.settle([(number, Decimal(1))])
        assert (await use(stage.ledger)).used == 3

    async def test_what_does_not_fit_is_refused_and_says_what_is_free_and_until_when(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await drawn(worker, run, (DAY, "7.5"))
        refused = await draw(worker, run, (DAY, 3))
        assert isinstance(refused, Refused)
        assert (refused.quota, refused.limit, refused.free) == ("usd", Decimal(10), Decimal("2.5"))
        ends = (await use(stage.ledger)).ends_at
        assert ends is not None
        assert refused.until == ends.timestamp()
        assert (await use(stage.ledger)).used == Decimal("7.5")

    async def test_several_are_drawn_from_together_or_none_is(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await drawn(worker, run, (RUN, "1.5"), (DAY, "1.5"))
        refused = await draw(worker, run, (DAY, 1), (RUN, 1))
        assert isinstance(refused, Refused)
        assert (refused.quota, refused.until) == ("usd_a_run", None)
        assert (await use(stage.ledger)).used == Decimal("1.5")

    async def test_a_cap_per_run_is_each_runs_own(self, stage: Stage) -> None:
        await stage.apply("a", "b")
        worker = await stage.worker()
        one, other = await stage.claim(worker)
        await drawn(worker, one, (RUN, 2))
        assert isinstance(await draw(worker, one, (RUN, "0.01")), Refused)
        await drawn(worker, other, (RUN, 2))

    async def test_so_much_at_once_is_free_again_when_it_is_settled_or_its_process_dies(self, stage: Stage) -> None:
        await stage.apply("a", "b")
        worker, other = await stage.worker(), await stage.worker()
        (one,), (two,) = await stage.claim(worker, 1), await stage.claim(other, 1)
        (number,) = await drawn(worker, one, (ROOM, 1))
        await drawn(other, two, (ROOM, 1))
        assert isinstance(await draw(worker, one, (ROOM, 1)), Refused)
        await worker.settle([(number, Decimal(0))])
        await drawn(worker, one, (ROOM, 1))
        assert isinstance(await draw(worker, one, (ROOM, 1)), Refused)
        await stage.kill(other)
        await worker.housekeep([PIPELINE])
        await drawn(worker, one, (ROOM, 1))

    async def test_a_dead_processs_draws_stay_spent(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await drawn(worker, run, (DAY, 4))
        await stage.kill(worker)
        heir = await stage.worker()
        await heir.housekeep([PIPELINE])
        assert (await use(stage.ledger)).used == 4
        with pytest.raises(LeaseLost):
            await draw(worker, run, (DAY, 1))
        assert (await use(stage.ledger)).used == 4

    async def test_nobody_passes_the_limit_together(self, stage: Stage) -> None:
        await stage.apply(*"abcdefgh")
        workers = [await stage.worker() for _ in range(4)]
        runs = [(worker, run) for worker in workers for run in await stage.claim(worker, 2)]
        granted = await asyncio.gather(*(draw(worker, run, (DAY, 1)) for worker, run in runs * 4))
        assert sum(not isinstance(one, Refused) for one in granted) == 10
        assert (await use(stage.ledger)).used == 10

    async def test_a_value_that_is_kept_takes_the_settlement_with_it(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        (number,) = await drawn(worker, run, (DAY, 5))
        unit = run.units[0].id
        await worker.keep_once(run.hold, (unit, "1"), "write", "k", '"v"', settled=[(number, Decimal(2))])
        assert (await use(stage.ledger)).used == 2
        assert await worker.once(unit, "1", "write") == {"k": '"v"'}

    async def test_a_plan_is_priced_and_what_does_not_fit_is_deferred_to_its_window(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcdefghijklm", costs=TWO)
        ends = (await use(stage.ledger)).ends_at
        assert plan.cost == {"usd": 26}
        assert (plan.deferred, plan.runs, plan.lanes) == ([("usd", 8, ends)], 5, 5)
        gaps = await stage.ledger.gaps(plan.id, 0, 99)
        assert [gap.deferred_by for gap in gaps] == [None] * 5 + ["usd"] * 8
        assert [gap.costs for gap in gaps[:1]] == [(("usd", Decimal(2)),)]
        times = [gap.deferred_until for gap in gaps[5:]]
        assert times[:5] == [ends] * 5
        assert times[5] is not None
        assert ends is not None
        assert times[5] > ends

    async def test_what_is_deferred_is_not_applied_and_stays_a_gap(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcdefg", costs=TWO)
        applied = await stage.ledger.apply(plan.id, triggered_by="test")
        assert (applied.runs, applied.dropped) == (5, {})
        again = await stage.plan(*"abcdefg", costs=TWO)
        assert (again.in_flight, again.counts) == (5, {"missing": 2})

    async def test_what_costs_more_than_the_whole_limit_never_fits(self, stage: Stage) -> None:
        plan = await stage.plan("a", costs=(UnitCost(DAY, amount=Decimal(11)),))
        assert plan.deferred == [("usd", 1, None)]
        (gap,) = await stage.ledger.gaps(plan.id, 0, 9)
        assert (gap.deferred_by, gap.deferred_until) == ("usd", None)

    async def test_the_reserve_is_kept_for_what_has_priority(self, stage: Stage) -> None:
        quota = Quota("usd", 10, reserve=4)
        cost = (UnitCost(quota, amount=Decimal(2)),)
        plan = await stage.plan(*[listed(n) for n in "abcd"], listed("z", priority=1), costs=cost)
        gaps = await stage.ledger.gaps(plan.id, 0, 9)
        assert [(gap.unit["name"], gap.deferred_by) for gap in gaps] == [
            ("z", None), ("a", None), ("b", None), ("c", "usd"), ("d", "usd"),
        ]  # fmt: skip

    async def test_a_field_of_operations_is_priced_by_each_quota_that_lists_them(self, stage: Stage) -> None:
        calls = Quota("calls", 100, costs={"fundamentals": 10, "prices": 1})
        fresh = Quota("fresh", 100, costs={"fundamentals": 1})
        costs = tuple(UnitCost(quota, field="todo", operations=True) for quota in (calls, fresh))
        units: list[Any] = [
            listed_with("a", todo="fundamentals+prices"),
            listed_with("b", todo="prices"),
            listed_with("c", todo=None),
        ]
        plan = await stage.plan(*units, costs=costs, fields=("name", "todo"))
        assert plan.cost == {"calls": 12, "fresh": 1}
        priced = [dict(gap.costs) for gap in await stage.ledger.gaps(plan.id, 0, 9)]
        assert priced == [{"calls": 11, "fresh": 1}, {"calls": 1, "fresh": 0}, {"calls": 0, "fresh": 0}]

    async def test_a_claim_reserves_and_what_does_not_fit_is_put_off(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcde", costs=TWO)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker, spender = await stage.worker(), await stage.begin("x", pipeline="other")
        await drawn(*spender, (DAY, 5))
        claimed = await stage.claim(worker)
        assert [names(run) for run in claimed] == [["a"], ["b"]]
        assert (await use(stage.ledger)).reserved == 4
        assert await stage.claim(worker) == []
        runs = await stage.ledger.runs(app=APP, pipeline=PIPELINE, states=["scheduled"])
        ends = (await use(stage.ledger)).ends_at
        assert {(run.wait_reason, run.not_before) for run in runs} == {("quota", ends)}
        assert len(runs) == 3
        left = await worker.outstanding([PIPELINE])
        assert (left.deferred, left.first) == (3, ends)

    async def test_a_run_draws_from_its_reservation_and_gives_back_the_rest(self, stage: Stage) -> None:
        plan = await stage.plan(*"abcde", costs=TWO)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        runs = await stage.claim(worker)
        assert len(runs) == 5
        (number,) = await drawn(worker, runs[0], (DAY, "1.5"))
        now = await use(stage.ledger)
        assert (now.used, now.reserved) == (Decimal("1.5"), Decimal("8.5"))
        assert isinstance(await draw(worker, runs[0], (DAY, 1)), Refused)  # the rest is the others'
        await worker.settle([(number, Decimal(1))])
        await worker.end(over(runs[0]))
        now = await use(stage.ledger)
        assert (now.used, now.reserved) == (Decimal(1), Decimal(8))

    async def test_a_run_that_waits_gives_its_reservation_back_and_takes_the_rest_again(self, stage: Stage) -> None:
        plan = await stage.plan("a", costs=TWO)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        run = await stage.one(worker)
        (number,) = await drawn(worker, run, (DAY, 1))
        await worker.settle([(number, Decimal("0.5"))])
        until = Instant(worker.now() - 1)
        await worker.wait(WaitRecord(hold=run.hold, until=until, reason="backoff", keep_lane=True))
        assert (await use(stage.ledger)).reserved == 0
        await stage.due(worker)
        assert (await use(stage.ledger)).reserved == Decimal("1.5")

    async def test_a_taken_over_run_keeps_its_reservation(self, stage: Stage) -> None:
        plan = await stage.plan("a", costs=TWO)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        await stage.one(worker)
        await stage.kill(worker)
        heir = await stage.worker()
        await stage.due(heir)
        assert (await use(stage.ledger)).reserved == 2

    async def test_a_cancelled_run_is_claimed_although_it_does_not_fit(self, stage: Stage) -> None:
        plan = await stage.plan("a", costs=TWO)
        await stage.ledger.apply(plan.id, triggered_by="test")
        worker = await stage.worker()
        run = await stage.one(worker)
        await worker.wait(WaitRecord(hold=run.hold, until=Instant(worker.now() + 99), reason="backoff", keep_lane=True))
        spender = await stage.begin("x", pipeline="other")
        await drawn(*spender, (DAY, 10))
        await stage.ledger.cancel(run=run.hold.run)
        assert (await stage.due(worker)).cancel

    async def test_living_processes_are_counted(self, stage: Stage) -> None:
        worker = await stage.worker()
        other = await stage.worker()
        assert await worker.living() == 2
        await other.close()
        assert await worker.living() == 1


def listed_with(name: str, **fields: Any) -> Any:
    """A wanted unit with facts."""
    return replace(listed(name), unit={"name": name, **fields})
