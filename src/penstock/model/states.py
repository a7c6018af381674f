"""The closed sets: every state, reason and class that the ledger may hold."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

RunState: TypeAlias = Literal[
    "scheduled", "running", "waiting", "completed", "partial", "failed", "cancelled", "skipped", "crashed"
]
"""`crashed` is never stored: views show it for a running run whose owner's lease is over."""

StepState: TypeAlias = Literal["running", "completed", "failed", "skipped", "cancelled"]

AttemptState: TypeAlias = Literal["open", "done", "skipped", "failed", "held", "cancelled", "lost"]

ErrorClass: TypeAlias = Literal[
    "network", "rate_limit", "quota", "timeout", "data", "rejected", "no_data", "auth", "lost", "deadline", "unknown"
]

Reason: TypeAlias = Literal["missing", "stale", "partial", "failed", "rejected", "forced"]

Verdict: TypeAlias = Literal["none", "completed", "partial", "failed", "rejected", "no_data", "cancelled"]

WaitReason: TypeAlias = Literal["backoff", "rate_limit", "quota", "handover"]

PlanState: TypeAlias = Literal["open", "applied", "discarded"]

EventType: TypeAlias = Literal[
    "execution.started",
    "execution.completed",
    "execution.failed",
    "execution.waiting",
    "attempt.started",
    "attempt.completed",
    "attempt.failed",
    "progress",
    "layer.completed",
    "quality.issue_detected",
]
"""What is told of runs; what is not among KEPT_EVENTS is told in the process that carries the run alone."""

KEPT_EVENTS: Final[frozenset[EventType]] = frozenset(
    {"execution.started", "execution.completed", "execution.failed", "layer.completed", "quality.issue_detected"}
)
"""The events that go to the outbox, in the commit of what they tell."""

TERMINAL: Final[frozenset[RunState]] = frozenset({"completed", "partial", "failed", "cancelled", "skipped"})
LIVE: Final[frozenset[RunState]] = frozenset({"scheduled", "running", "waiting"})
RUN_STATES: Final[tuple[RunState, ...]] = get_args(RunState)
ERROR_CLASSES: Final[tuple[ErrorClass, ...]] = get_args(ErrorClass)
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
