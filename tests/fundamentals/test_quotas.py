"""Budgets: what a day admits is done, the rest is put off to the day on which it fits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import penstock as ps
from penstock.testing import Simulation

USD = ps.Quota("llm_usd", 10, per="day")
CALLS = ps.Quota("calls", 2, per="second")


class Report(NamedTuple):
    bank: str


REPORTS = [Report(name) for name in "abcdefg"]

reports = ps.Pipeline("reports", Report, cost={USD: 3})


@reports.step
async def write(ctx: ps.Context[Report]) -> None:
    async with ctx.spend(USD, 3) as draw:
        draw.settle(2)


def test_a_plan_says_what_it_costs_and_what_is_put_off() -> None:
    plan = Simulation(reports, wanted=REPORTS).plan()
    assert plan.cost == {"llm_usd": 21}
    assert (len(plan), plan.admitted) == (7, 3)
    assert plan.deferred[0].until == datetime(2026, 1, 2, tzinfo=UTC)
    assert {gap.unit.bank: gap.deferred_until for gap in plan}["g"] == datetime(2026, 1, 3, tzinfo=UTC)


def test_each_day_does_what_fits_and_no_day_spends_more() -> None:
    sim = Simulation(reports, wanted=REPORTS)
    done: list[int] = []
    for _ in range(4):
        sim.run()
        done.append(len(sim.calls(write)))
        sim.advance(timedelta(days=1))
    assert done == [3, 6, 7, 7]  # three worst cases of 3 fit into 10 in the morning, whatever they cost in the end
    assert sim.spent(USD) == 14


def test_what_is_left_of_the_day_is_planned_with_again() -> None:
    sim = Simulation(reports, wanted=REPORTS)
    assert [sim.plan().admitted, len(sim.run().counts), sim.plan().admitted] == [3, 1, 1]


def test_a_run_that_finds_its_budget_spent_waits_for_the_next_day_and_uses_no_attempt() -> None:
    dear = ps.Pipeline("dear", Report, retry=ps.Retry(attempts=1))

    @dear.step
    async def ask(ctx: ps.Context[Report]) -> int:
        async with ctx.spend(USD, 6):
            return ctx.attempt

    sim = Simulation(dear, wanted=REPORTS[:2], lanes=1)
    summary = sim.run()
    assert summary.ok
    assert summary.deferred == 1
    assert summary.deferred_to == datetime(2026, 1, 2, tzinfo=UTC)
    sim.advance(timedelta(days=1))
    assert sim.run().ok
    assert [run.state for run in sim.runs] == ["completed"] * 2
    assert [run.steps[0].attempts for run in sim.runs] == [1, 1]


def test_a_rate_is_kept_by_waiting() -> None:
    paced = ps.Pipeline("paced", Report)

    @paced.step
    async def ask(ctx: ps.Context[Report]) -> None:
        async with ctx.spend(CALLS, 1):
            pass

    sim = Simulation(paced, wanted=REPORTS)
    assert sim.run().ok
    assert timedelta(seconds=2.4) <= sim.elapsed <= timedelta(seconds=4)


def test_a_crash_loses_what_was_drawn_and_nothing_else() -> None:
    sim = Simulation(reports, wanted=REPORTS[:1])
    sim.crash(write)
    assert sim.run().ok
    assert sim.spent(USD) == 2
