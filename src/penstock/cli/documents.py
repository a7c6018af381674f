"""Results as JSON documents with stable keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.definition.pipeline import Pipeline
from penstock.model.results import Gap, Plan, Run, Summary


def plan_document(pipeline: Pipeline[Any], plan: Plan[Any], gaps: Sequence[Gap[Any]]) -> dict[str, Any]:
    """A plan, and the first of its gaps."""
    return {
        "id": plan.id,
        "number": plan.number,
        "pipeline": plan.pipeline,
        "state": plan.state,
        "gaps": len(plan),
        "counts": dict(plan.counts),
        "lanes": plan.lanes,
        "seconds": plan.seconds,
        "admitted": plan.admitted,
        "cost": dict(plan.cost),
        "deferred": [{"quota": d.quota, "count": d.count, "until": d.until} for d in plan.deferred],
        "in_flight": plan.in_flight,
        "remembered": [{"verdict": r.verdict, "count": r.count, "until": r.until} for r in plan.remembered],
        "repeating": plan.repeating,
        "forced": plan.forced,
        "created_at": plan.created_at,
        "first": [gap_document(pipeline, gap) for gap in gaps],
    }


def gap_document(pipeline: Pipeline[Any], gap: Gap[Any]) -> dict[str, Any]:
    """One gap."""
    return {
        "unit": pipeline.units.dump(gap.unit),
        "reason": gap.reason,
        "priority": gap.priority,
        "lane": gap.lane,
        "source_version": gap.source_version,
        "cost": dict(gap.cost),
        "deferred": gap.deferred,
        "deferred_until": gap.deferred_until,
    }


def run_document(pipeline: Pipeline[Any], run: Run[Any]) -> dict[str, Any]:
    """A run; `steps` is empty in lists."""
    return {
        "id": run.id,
        "number": run.number,
        "pipeline": run.pipeline,
        "plan": run.plan,
        "state": run.state,
        "units": [pipeline.units.dump(unit) for unit in run.units],
        "priority": run.priority,
        "error_class": run.error_class,
        "error": run.error,
        "failed_step": run.failed_step,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "not_before": run.not_before,
        "steps": [
            {
                "step": step.step,
                "state": step.state,
                "attempts": step.attempts,
                "seconds": step.seconds,
                "error_class": step.error_class,
                "error": step.error,
                "output": step.output,
            }
            for step in run.steps
        ],
    }


def summary_document(pipeline: Pipeline[Any], plan: Plan[Any], summary: Summary[Any]) -> dict[str, Any]:
    """What an applied plan came to."""
    return {
        "plan": plan.number,
        "plan_id": plan.id,
        "pipeline": plan.pipeline,
        "ok": summary.ok,
        "gaps": len(plan),
        "counts": dict(summary.counts),
        "failed": [run_document(pipeline, run) for run in summary.failed],
        "dropped": dict(summary.dropped),
        "deferred": summary.deferred,
        "deferred_to": summary.deferred_to,
        "seconds": summary.seconds,
    }
