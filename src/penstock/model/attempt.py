"""What the driver is told of an attempt, and what it says of a run in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NewType, TypeAlias

from penstock.model.states import ErrorClass, WaitReason

RunId = NewType("RunId", int)
PlanId = NewType("PlanId", int)
UnitId = NewType("UnitId", int)
ProcessId = NewType("ProcessId", int)
Instant = NewType("Instant", float)
"""Seconds since 1970-01-01 UTC, by the ledger's clock."""

OutcomeKind: TypeAlias = Literal["done", "failed", "held", "cancelled"]
StepEnd: TypeAlias = Literal["completed", "failed", "skipped", "cancelled"]
RunEnd: TypeAlias = Literal["completed", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """How one attempt ended, as it was recorded.

    `done` includes a step that had nothing to do. `held` uses no attempt: it did not begin and may not before
    `not_before`. `units_left` and `units_failed` count the units of the batch after it.
    """

    kind: OutcomeKind
    at: Instant
    units_left: int = 1
    units_failed: int = 0
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    reason: WaitReason = "backoff"


Try: TypeAlias = tuple[str, int, AttemptOutcome]
"""Step, number of the attempt (1 is the first), outcome; in the order of their record."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run: its state, how each step ended, and the failure that decided it."""

    state: RunEnd
    steps: Mapping[str, StepEnd]
    error_class: ErrorClass | None = None
    error: str | None = None
    failed_step: str | None = None
