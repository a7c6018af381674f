"""From stored rows to what operations return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from penstock.definition.pipeline import Pipeline
from penstock.model.attempt import RunId
from penstock.model.errors import InvalidData
from penstock.model.results import Outcome, Run, Summary
from penstock.model.states import RunState
from penstock.ports.ledger import Ledger
from penstock.ports.records import StoredPlan, StoredRun, StoredStep

SHOWN = 1_000
"""Failed runs that a summary carries at most."""


def public_run(pipeline: Pipeline[Any], stored: StoredRun) -> Run[Any]:
    """A stored run as its users see it."""
    return Run(
        id=stored.uuid,
        number=stored.id,
        pipeline=stored.pipeline,
        units=[_unit(pipeline, unit) for unit in stored.units],
        state=stored.state,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        error=stored.error,
        error_class=stored.error_class,
        steps=[_outcome(pipeline, step) for step in stored.steps],
        created_at=stored.created_at,
        started_at=stored.started_at,
        completed_at=stored.finished_at,
        not_before=stored.not_before,
        plan=stored.plan,
        priority=stored.priority,
        failed_step=stored.failed_step,
    )


def _unit(pipeline: Pipeline[Any], body: Mapping[str, Any]) -> Any:
    """The unit; where its class has changed since and does not take it any more, its fields as they were."""
    try:
        return pipeline.units.load(body)
    except InvalidData:
        return SimpleNamespace(**{**dict.fromkeys(pipeline.units.fields), **body})


def _outcome(pipeline: Pipeline[Any], step: StoredStep) -> Outcome[Any]:
    output = step.output
    if output is not None and step.step in pipeline.steps:
        output = pipeline.steps[step.step].signature.adapter.validate_python(output)
    return Outcome(
        step.step,
        step.state,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        output if step.state == "completed" else None,
        step.error,
        step.error_class,
        step.attempts,
        step.seconds,
    )


async def summary_of(
    ledger: Ledger, pipeline: Pipeline[Any], plan: StoredPlan, others: Iterable[RunId], seconds: float
) -> Summary[Any]:
    """What the plan came to, with what was taken over from other plans of its pipeline: `others`."""
    counts: Counter[RunState] = Counter(await ledger.tally(plan.id))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    failed = list(await ledger.runs(app=plan.app, plan=plan.id, states=["failed", "partial"], limit=SHOWN))
    if failed and pipeline.batch > 1:  # a unit that was tried again counts by its last try
        followed = set(await ledger.followed_up(plan.id))
        failed = [run for run in failed if run.id not in followed]
    ids = sorted(others)
    for page in (ids[start : start + SHOWN] for start in range(0, len(ids), SHOWN)):
        taken = await ledger.runs(app=plan.app, ids=page, limit=len(page))
        counts.update(run.state for run in taken)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
        failed += [run for run in taken if run.state in ("failed", "partial")][: max(0, SHOWN - len(failed))]
    waiting = counts.pop("scheduled", 0) + counts.pop("waiting", 0)
    first = None
    if waiting:
        later = await ledger.runs(app=plan.app, plan=plan.id, states=["scheduled"], limit=SHOWN)
        first = min((run.not_before for run in later if run.not_before is not None), default=None)
    return Summary(
        plan=plan.uuid,
        counts=dict(counts),
        failed=[public_run(pipeline, run) for run in sorted(failed, key=lambda run: run.id)],
        seconds=seconds,
        dropped=plan.dropped,
        deferred=waiting,
        deferred_to=first,
    )
