"""Plans and summaries for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.cli import printing
from penstock.cli.spoken import counted, forecast, length, moment, unit_words
from penstock.definition.pipeline import Pipeline
from penstock.model.results import Gap, Plan, Run, Summary

SHOWN_FAILURES = 10


def plan_line(plan: Plan[Any]) -> str:
    """`12 gaps (10 missing, 2 stale) in 5 lanes, about 4 min`."""
    if not len(plan):
        return "nothing to do"
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in plan.counts.items() if n)
    return f"{counted(len(plan), 'gap')} ({reasons}) in {counted(plan.lanes, 'lane')}, {forecast(plan.seconds)}"


def notes(plan: Plan[Any]) -> Iterator[str]:
    """What is no gap, or looks like none that a run will close."""
    if plan.in_flight:
        yield f"{counted(plan.in_flight, 'unit')} in flight: a run has {'it' if plan.in_flight == 1 else 'them'} now."
    for memory in plan.remembered:
        until = f", the first tried again from {moment(memory.until)}" if memory.until else ""
        yield f"{counted(memory.count, 'unit')} remembered as {memory.verdict}{until}; --force ignores that."
    for late in plan.deferred:
        when = f"deferred to {moment(late.until)}" if late.until else "costs more than the whole limit"
        yield f"{counted(late.count, 'gap')} {when} ({late.quota})."
    if plan.repeating:
        yield (
            f"{counted(plan.repeating, 'unit')} completed more than once and still missing: existing does not see "
            "what the runs made. `penstock why` tells of one."
        )


def tell_plan(pipeline: Pipeline[Any], plan: Plan[Any], gaps: Sequence[Gap[Any]]) -> None:
    """A plan: what would run, the first gaps, what would not, and how to apply it."""
    printing.line(f"{plan.pipeline}: {plan_line(plan)}.")
    if gaps:
        printing.line()
        tell_gaps(pipeline, plan, gaps)
    if any(plan.cost.values()):
        priced = ", ".join(f"{amount:,f} {name}" for name, amount in plan.cost.items() if amount)
        printing.line(f"This costs {priced}; `penstock quota` shows what is left.")
    for note in notes(plan):
        printing.line(note)
    if plan.admitted:
        printing.line(f"This is plan {plan.number}. Carry it out: penstock apply {plan.number}")


def tell_gaps(pipeline: Pipeline[Any], plan: Plan[Any], gaps: Sequence[Gap[Any]]) -> None:
    """The first gaps, a column a field."""
    fields = pipeline.units.fields
    bodies = [pipeline.units.dump(gap.unit) for gap in gaps]
    prioritised = any(gap.priority for gap in gaps)
    priced = [name for name in plan.cost if any(gap.cost.get(name) for gap in gaps)]
    late = any(gap.deferred for gap in gaps)
    printing.table(
        [*fields, "reason", "priority", *priced, *(["deferred"] if late else [])],
        [
            [
                *(body[name] for name in fields),
                gap.reason,
                gap.priority if prioritised else None,
                *(f"{gap.cost[name]:,f}" for name in priced),
                *([_deferred(gap)] if late else []),
            ]
            for body, gap in zip(bodies, gaps, strict=True)
        ],
        right=["priority", *priced],
    )
    if len(plan) > len(gaps):
        printing.line(printing.dim(f"… and {len(plan) - len(gaps):,} more (--limit shows them)"))
    printing.line()


def _deferred(gap: Gap[Any]) -> str:
    if gap.deferred is None:
        return ""
    return f"to {moment(gap.deferred_until)}" if gap.deferred_until else "never fits"


def tell_summary(pipeline: Pipeline[Any], plan: Plan[Any], summary: Summary[Any], *, stopped: bool) -> None:
    """What an applied plan came to: counts, failures with the way to their logs, what waits, what was dropped."""
    done = ", ".join(f"{n:,} {printing.state(state)}" for state, n in summary.counts.items() if n)
    if done:
        total = sum(summary.counts.values())
        printing.line(f"{plan.pipeline}: {counted(total, 'run')} in {length(summary.seconds)}: {done}.")
    elif not summary.deferred:
        printing.line(f"{plan.pipeline}: nothing to do{' now' if plan.deferred else ''}.")
    for run in summary.failed[:SHOWN_FAILURES]:
        _tell_failure(pipeline, run)
    if len(summary.failed) > SHOWN_FAILURES:
        more = len(summary.failed) - SHOWN_FAILURES
        printing.line(f"  … and {more:,} more: penstock runs list {plan.pipeline} --state failed")
    if summary.deferred:
        until = f" to {moment(summary.deferred_to)}" if summary.deferred_to else ""
        word = "left for the next process" if stopped else f"deferred{until}"
        printing.line(f"{counted(summary.deferred, 'run')} {word}: penstock apply {plan.number} goes on.")
    for reason, number in summary.dropped.items():
        printing.line(f"{counted(number, 'unit')} dropped: {reason}.")
    if not stopped:
        for note in notes(plan):
            printing.line(note)


def _tell_failure(pipeline: Pipeline[Any], run: Run[Any]) -> None:
    """One failed run: which unit, where, why, and the two commands that come next."""
    body = pipeline.units.dump(run.unit) if run.units else {}
    more = f" and {len(run.units) - 1:,} more" if len(run.units) > 1 else ""
    step = f"{run.failed_step}: " if run.failed_step else ""
    error = printing.joined(run.error or "no message")
    printing.line(f"  {printing.state(run.state)}  {unit_words(body, pipeline.key)}{more}")
    printing.line(f"          {step}{error} ({run.error_class or 'unknown'})")
    printing.line(printing.dim(f"          penstock logs {run.number}, penstock retry {run.number}"))
