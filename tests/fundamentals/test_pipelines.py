"""What a pipeline does, one idea a test. Read from the top; nothing here needs a database or waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

import penstock as ps
from penstock.testing import Simulation, context


class Report(NamedTuple):
    bank: str
    quarter: str


RY = Report("RY", "Q1")
TD = Report("TD", "Q1")

reports = ps.Pipeline("reports", Report, lane="bank", retry=ps.Retry(attempts=3, first=5, jitter=False))


@reports.step
async def write(ctx: ps.Context[Report]) -> str:
    return f"{ctx.unit.bank} in {ctx.unit.quarter}"


@reports.step
def measure(text: str = write.output) -> int:
    return len(text)


def test_what_is_wanted_and_does_not_exist_is_a_gap() -> None:
    plan = Simulation(reports, wanted=[RY, TD], existing=[TD]).plan()
    assert [gap.unit for gap in plan] == [RY]
    assert plan.counts == {"missing": 1}


def test_running_fills_the_gap() -> None:
    sim = Simulation(reports, wanted=[RY])
    assert sim.run().counts == {"completed": 1}
    assert len(sim.plan()) == 0


def test_a_steps_output_is_the_default_of_a_later_steps_parameter() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.run()
    assert {step.step: step.output for step in sim.runs[0].steps} == {"write": "RY in Q1", "measure": 8}


def test_a_step_is_still_the_function_that_it_was() -> None:
    assert measure("RY") == 2


async def test_a_step_is_called_directly_with_a_context() -> None:
    assert await write(context(RY)) == "RY in Q1"


def test_units_of_one_lane_run_one_after_the_other_and_lanes_side_by_side() -> None:
    busy: list[str] = []
    slow = ps.Pipeline("slow", Report, lane="bank")

    @slow.step
    async def work(report: Report, waiter: Waiter) -> None:
        assert report.bank not in busy
        busy.append(report.bank)
        await waiter.hour()
        busy.remove(report.bank)

    quarters = [Report(bank, f"Q{n}") for bank in ("RY", "TD") for n in (1, 2, 3)]
    sim = Simulation(slow, wanted=quarters, resources=[Waiter()])
    assert sim.run().ok
    assert sim.elapsed == timedelta(hours=3)


class Waiter:
    async def hour(self) -> None:
        import asyncio

        await asyncio.sleep(3600)


def test_a_failure_is_tried_again_after_5_and_10_seconds() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.fail(write, ps.NetworkError("connection reset"), times=2)
    assert sim.run().ok
    assert sim.waits == [5, 10]
    assert sim.elapsed == timedelta(seconds=15)


def test_what_is_wrong_and_stays_wrong_is_not_tried_again() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.fail(write, ps.InvalidData("page 3 has no table"))
    failed = sim.run().failed[0]
    assert (failed.state, failed.error, failed.error_class) == ("failed", "page 3 has no table", "data")
    assert len(sim.calls(write)) == 1


def test_a_server_says_itself_when_it_may_be_asked_again() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.fail(write, ps.RateLimited("slowly", retry_after=42))
    assert sim.run().ok
    assert sim.waits == [42]


def test_no_data_is_remembered_until_it_may_exist() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.fail(write, ps.NoData("no transcript yet", until=timedelta(days=2)))
    sim.run()
    assert len(sim.plan()) == 0
    assert [(held.verdict, held.count) for held in sim.plan().remembered] == [("no_data", 1)]
    sim.advance(timedelta(days=2))
    assert len(sim.plan()) == 1


def test_a_failed_unit_is_a_gap_again_when_its_source_changes() -> None:
    sim = Simulation(reports, wanted={RY: "v1"})
    sim.fail(write, ps.InvalidData("cut off"))
    sim.run()
    assert len(sim.plan()) == 0
    sim.want({RY: "v2"})
    assert sim.plan().counts == {"failed": 1}


def test_what_was_made_from_another_version_is_stale() -> None:
    sim = Simulation(reports, wanted={RY: "v2", TD: "v1"}, existing={RY: "v1", TD: "v1"})
    assert [(gap.unit, gap.reason) for gap in sim.plan()] == [(RY, "stale")]


def test_force_makes_again_what_exists() -> None:
    sim = Simulation(reports, wanted=[RY], existing=[RY])
    assert sim.plan().counts == {}
    assert sim.plan(force=True).counts == {"forced": 1}
    assert sim.run(force=True).counts == {"completed": 1}


def test_a_plan_may_be_narrowed_and_is_run_as_it_was_shown() -> None:
    sim = Simulation(reports, wanted=[RY, TD])
    plan = sim.plan(where={"bank": "TD"})
    assert sim.run(plan).ok
    assert sim.calls(write) == [TD]


def test_a_step_with_nothing_to_do_is_skipped_and_the_run_goes_on() -> None:
    letters = ps.Pipeline("letters", Report)

    @letters.step
    async def translate(report: Report) -> str:
        raise ps.Skip(f"{report.bank} writes in English")

    @letters.step(after=translate)
    async def send(ctx: ps.Context[Report]) -> str:
        return ctx.outcome(translate).output or "the original"

    sim = Simulation(letters, wanted=[RY])
    assert sim.run().ok
    assert [(step.state, step.output) for step in sim.runs[0].steps] == [
        ("skipped", None),
        ("completed", "the original"),
    ]


def test_a_dead_process_is_taken_over_and_no_attempt_is_used() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.crash(measure)
    assert sim.run().ok
    assert (len(sim.calls(write)), len(sim.calls(measure))) == (1, 2)
    assert [step.attempts for step in sim.runs[0].steps] == [1, 1]


def test_a_step_that_kills_every_process_is_given_up() -> None:
    sim = Simulation(reports, wanted=[RY])
    sim.crash(write, times=9)
    assert sim.run().failed[0].error_class == "lost"
    assert len(sim.calls(write)) == 5


def test_what_was_done_once_is_not_done_again_by_a_later_attempt() -> None:
    asked: list[str] = []
    careful = ps.Pipeline("careful", Report)

    async def ask(topic: str) -> str:
        asked.append(topic)
        if asked == ["income", "credit"]:
            raise ConnectionError("reset")
        return topic.upper()

    @careful.step
    async def sections(ctx: ps.Context[Report]) -> list[str]:
        return [await ctx.once(topic, ask, topic) for topic in ("income", "credit", "capital")]

    sim = Simulation(careful, wanted=[RY])
    assert sim.run().ok
    assert asked == ["income", "credit", "credit", "capital"]
    assert sim.runs[0].steps[0].output == ["INCOME", "CREDIT", "CAPITAL"]


def test_a_long_wait_is_deferred_and_done_by_a_later_run() -> None:
    sim = Simulation(reports, wanted=[RY], start=datetime(2026, 1, 1, 22, 0, tzinfo=UTC))
    sim.fail(write, ps.RateLimited("tomorrow", retry_after=timedelta(hours=2)))
    first = sim.run()
    assert (first.counts, first.deferred, first.deferred_to) == ({}, 1, datetime(2026, 1, 2, tzinfo=UTC))
    sim.advance(timedelta(hours=2))
    assert sim.run().counts == {"completed": 1}
    assert sim.waits == [7200]


def test_a_step_that_asks_for_a_database_says_what_to_do() -> None:
    banks = ps.Pipeline("banks", Report)

    @banks.step
    async def load(db: ps.Transaction) -> None: ...

    sim = Simulation(banks, wanted=[RY])
    with pytest.raises(
        AssertionError, match=r"^banks\.load asks for a database, which a Simulation has not: sim\.stub"
    ):
        sim.run()
    sim.stub(load, None)
    assert sim.run().ok
