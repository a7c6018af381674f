"""From what operations return to messages."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from penstock.api.grpc.structs import at, struct, value
from penstock.api.grpc.v1 import control_pb2, plans_pb2
from penstock.definition.pipeline import Pipeline
from penstock.model.results import Gap, Outcome, Plan, Run
from penstock.operations.backfilling import Backfill
from penstock.ports.service import PlanRow


def plan_message(plan: Plan[Any]) -> plans_pb2.PlanResponse:
    """A plan."""
    return plans_pb2.PlanResponse(
        id=str(plan.id),
        number=plan.number,
        pipeline=plan.pipeline,
        state=plan.state,
        counts={str(reason): count for reason, count in plan.counts.items()},
        gaps=len(plan),
        admitted=plan.admitted,
        lanes=plan.lanes,
        seconds=plan.seconds,
        in_flight=plan.in_flight,
        remembered=[
            plans_pb2.Remembered(verdict=each.verdict, count=each.count, until=at(each.until))
            for each in plan.remembered
        ],
        repeating=plan.repeating,
        forced=plan.forced,
        cost=_amounts(plan.cost),
        deferred=[
            plans_pb2.Deferred(quota=each.quota, count=each.count, until=at(each.until)) for each in plan.deferred
        ],
        created_at=at(plan.created_at),
    )


def plan_summary(row: PlanRow) -> plans_pb2.PlanSummary:
    """A plan in a list."""
    return plans_pb2.PlanSummary(
        id=str(row.id),
        number=row.number,
        pipeline=row.pipeline,
        state=row.state,
        paused=row.paused,
        forced=row.forced,
        triggered_by=row.triggered_by,
        created_at=at(row.created_at),
        applied_at=at(row.applied_at),
        parallel=row.parallel,
        counts=dict(row.gaps),
        runs=dict(row.runs_by_state),
    )


def gap_message(pipeline: Pipeline[Any], gap: Gap[Any]) -> plans_pb2.Gap:
    """A gap."""
    return plans_pb2.Gap(
        unit=struct(_unit(pipeline, gap.unit)),
        reason=gap.reason,
        priority=gap.priority,
        lane=gap.lane,
        source_version=gap.source_version,
        cost=_amounts(gap.cost),
        deferred=gap.deferred,
        deferred_until=at(gap.deferred_until),
    )


def backfill_message(one: Backfill) -> plans_pb2.Backfill:
    """A backfill."""
    return plans_pb2.Backfill(
        id=str(one.id),
        number=one.number,
        pipeline=one.pipeline,
        state=one.state,
        total=one.total,
        done=one.done,
        runs=dict(one.runs),
        parallel=one.parallel,
        created_at=at(one.created_at),
    )


def run_message(pipeline: Pipeline[Any], run: Run[Any]) -> control_pb2.Run:
    """A run."""
    return control_pb2.Run(
        id=str(run.id),
        number=run.number,
        pipeline=run.pipeline,
        plan_id="" if run.plan is None else str(run.plan),
        state=run.state,
        units=[struct(_unit(pipeline, unit)) for unit in run.units],
        priority=run.priority,
        error_class=run.error_class,
        error=run.error,
        failed_step=run.failed_step,
        created_at=at(run.created_at),
        started_at=at(run.started_at),
        completed_at=at(run.completed_at),
        not_before=at(run.not_before),
        steps=[_step(outcome) for outcome in run.steps],
    )


def unit_message(row: Mapping[str, Any]) -> control_pb2.Unit:
    """A row of `v1_units`."""
    return control_pb2.Unit(
        number=row["number"],
        pipeline=row["pipeline"],
        key=struct(row["key"]),
        unit=struct(row["unit"]),
        verdict=row["verdict"],
        source_version=row["source_version"],
        failures=row["failures"],
        repeats=row["repeats"],
        not_before=at(row["not_before"]),
        completed_at=at(row["completed_at"]),
        completed_version=row["completed_version"],
        last_run=None if row["last_run"] is None else str(row["last_run"]),
        active_run=None if row["active_run"] is None else str(row["active_run"]),
    )


def _step(outcome: Outcome[Any]) -> control_pb2.Step:
    return control_pb2.Step(
        step=outcome.step,
        state=outcome.state,
        attempts=outcome.attempts,
        seconds=outcome.seconds,
        error_class=outcome.error_class,
        error=outcome.error,
        output=None if outcome.output is None else value(outcome.output),
    )


def _unit(pipeline: Pipeline[Any], unit: Any) -> dict[str, Any]:
    """The unit's fields; as they were stored, where its class has changed since."""
    return dict(vars(unit)) if isinstance(unit, SimpleNamespace) else pipeline.units.dump(unit)


def _amounts(cost: Mapping[str, Decimal]) -> dict[str, str]:
    return {quota: f"{amount:f}" for quota, amount in cost.items()}
