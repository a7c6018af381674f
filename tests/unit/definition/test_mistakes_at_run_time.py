"""What the author of a pipeline sees whose mistake shows only when something is planned or runs."""
# Annotations are read when a step is made, so this module has none that are postponed.

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

import penstock as ps
from penstock.operations.planning import Ask, plan_query
from penstock.testing import Simulation


class Report(NamedTuple):
    bank_id: int
    quarter: str


class Llm: ...


def fresh(name: str = "reports") -> ps.Pipeline[Report]:
    return ps.Pipeline(name, Report)


def failure(pipeline: ps.Pipeline[Report], *units: Report) -> str | None:
    summary = Simulation(pipeline, wanted=units or [Report(1, "Q1")]).run()
    return summary.failed[0].error


def test_the_unit_of_a_batch() -> None:
    reports = ps.Pipeline("reports", Report, batch=500)

    @reports.step
    async def load(units: list[Report], ctx: ps.Context[Report]) -> int:
        return ctx.unit.bank_id

    assert failure(reports, Report(1, "Q1"), Report(2, "Q1")) == (
        "reports.load: ctx.unit in a batch of 2 names no one unit. Take report: Report to be called once per report, "
        "or list[Report]."
    )


def test_the_outcome_of_a_step_that_need_not_be_over() -> None:
    reports = fresh()

    @reports.step
    async def read(report: Report) -> int:
        return report.bank_id

    @reports.step
    async def write(ctx: ps.Context[Report]) -> Any:
        return ctx.outcome(read).output

    assert failure(reports) == ("reports.write reads ctx.outcome(read), but does not come after it: say after=read.")


async def test_a_plan_of_a_pipeline_that_finds_no_gaps() -> None:
    reports = fresh("OnboardingWorkflow")

    async def call(function: Callable[..., Any]) -> Any:
        return function()

    with pytest.raises(ps.DefinitionError, match=r"^OnboardingWorkflow finds no gaps of its own: give it units\.$"):
        await plan_query("aegis", reports, Ask(), call, datetime.now(UTC))


def test_a_resource_that_a_simulation_was_not_given() -> None:
    reports = fresh()

    @reports.step
    async def write(llm: Llm) -> None: ...

    with pytest.raises(AssertionError) as caught:
        failure(reports)
    assert str(caught.value) == (
        "reports.write asks for 'llm: Llm', which this Simulation was not given: say "
        "Simulation(..., resources={Llm: ...}), or sim.stub(write, ...)."
    )
