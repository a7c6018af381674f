"""From how the driver ended to what is recorded of the run and remembered of its units."""

from __future__ import annotations

from typing import Any

from penstock.definition.pipeline import Pipeline
from penstock.engines.executor.carried import Carried, Slot, UnitFailure
from penstock.model.attempt import Ended, Instant
from penstock.model.shape import Shape
from penstock.model.states import ErrorClass, EventType
from penstock.planning.memory import Memory, remember
from penstock.planning.retry import delay, policy_for
from penstock.ports.records import Claimed, EndRecord, FollowUp, UnitEnd


def end_record(run: Carried, ended: Ended, now: Instant, *, keep: bool, event: EventType | None) -> EndRecord:
    """What the end of this run puts on disk.

    Args:
        run: The run in hand.
        ended: What the driver returned.
        now: The ledger's time.
        keep: Whether to go on with the lane's next run.
        event: What goes to the outbox, if the app wants it.
    """
    # A driver that ran out of units has no words of its own for why: what failed the first of them is it.
    error_class = ended.error_class if ended.error else _first_class(run) or ended.error_class
    return EndRecord(
        hold=run.hold,
        state=ended.state,
        units=tuple(_unit_end(run, ended, slot) for slot in run.slots),
        error_class=error_class,
        error=ended.error or _first_error(run),
        failed_step=ended.failed_step,
        keep=keep,
        follow=None if ended.state == "cancelled" else _follow_up(run, now),
        event=event,
    )


def unreadable(claimed: Claimed, pipeline: Pipeline[Any], why: str, *, event: EventType | None) -> EndRecord:
    """The end of a run whose units do not fit the unit's class any more."""
    memory = remember("failed", "data", keep=_longest(claimed.shape, pipeline))
    units = tuple(
        UnitEnd(no=held.no, verdict=memory.verdict, counts=memory.counts, first=memory.first, limit=memory.limit)
        for held in claimed.units
    )
    return EndRecord(hold=claimed.hold, state="failed", units=units, error_class="data", error=why, event=event)


def _longest(shape: Shape, pipeline: Pipeline[Any]) -> float | None:
    """The longest that a failure holds; shapes of older versions do not say it."""
    return pipeline.remember if shape.remember is None else shape.remember


def _unit_end(run: Carried, ended: Ended, slot: Slot) -> UnitEnd:
    keep = _longest(run.shape, run.pipeline)
    if (why := slot.failure) is not None:
        memory = remember("failed", why.error_class, keep=keep, until=why.not_before)
        return _end(
            slot,
            memory,
            state=None if ended.state == "failed" else "failed",
            error_class=why.error_class,
            error=why.error,
        )
    if ended.state == "partial" and "failed" not in ended.steps.values():
        return _end(slot, remember("completed", None), state="completed")  # only other units failed
    memory = remember(ended.state, ended.error_class, keep=keep, until=run.until)
    whole = ended.failed_step is not None and not run.steps[ended.failed_step].per_unit
    return _end(slot, memory, alone=ended.state == "failed" and whole and len(run.slots) > 1)


def _end(slot: Slot, memory: Memory, **more: object) -> UnitEnd:
    return UnitEnd(
        no=slot.no,
        verdict=memory.verdict,
        counts=memory.counts,
        first=memory.first,
        limit=memory.limit,
        until=memory.at,
        **more,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    )


def _follow_up(run: Carried, now: Instant) -> FollowUp | None:
    """One more run over the units whose failure may be tried again, if there are any."""
    tries = run.claimed.tries + 1
    again: dict[int, float] = {}
    for slot in run.slots:
        if (why := slot.failure) is None or why.step not in run.steps:
            continue
        policy = policy_for(why.error_class, run.steps[why.step].policies)
        wait = delay(policy, tries, f"{run.id}/{why.step}/{slot.no}")
        if wait is not None:
            again[slot.no] = max(now + wait, why.not_before or 0.0)
    if not again:
        return None
    return FollowUp(units=tuple(again), until=Instant(max(again.values())), tries=tries)


def _failures(run: Carried) -> list[UnitFailure]:
    return [slot.failure for slot in run.slots if slot.failure is not None]


def _first_class(run: Carried) -> ErrorClass | None:
    return next((why.error_class for why in _failures(run)), None)


def _first_error(run: Carried) -> str | None:
    failures = _failures(run)
    if not failures:
        return None
    more = f" (and {len(failures) - 1} more units)" if len(failures) > 1 else ""
    return f"{failures[0].error}{more}"
