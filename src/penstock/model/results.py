"""What operations return: plans, gaps, runs, outcomes, summaries, reasons, events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic
from uuid import UUID

from typing_extensions import TypeVar

from penstock.model.states import ErrorClass, EventType, Reason, RunState, StepState
from penstock.model.values import Day

U_co = TypeVar("U_co", covariant=True, default=Day)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """What became of a step. `output` is None unless it completed. `seconds` is the last attempt's length."""

    step: str
    state: StepState
    output: T_co | None
    error: str | None
    error_class: ErrorClass | None
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Gap(Generic[U_co]):
    """A unit that should exist and does not, why, and what it costs by quota.

    `deferred` names the quota that did not admit it, `deferred_until` when it fits; None there means never.
    """

    unit: U_co
    reason: Reason
    priority: int
    source_version: str | None
    lane: str
    cost: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    deferred: str | None = None
    deferred_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """Units that are no gap yet: how many, what happened, and when the first of them is tried again."""

    verdict: str
    count: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Gaps that a quota does not admit now: how many, and when the first of them fits; None: they never do."""

    quota: str
    count: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Plan(Generic[U_co]):
    """What should run, stored under `id`. Iterating yields the gaps in order, a page at a time.

    `counts` has the gaps by reason, `in_flight` the units that a run holds now, `remembered` those that are not
    tried again yet, `repeating` those that completed more than once and are still missing. `seconds` is a forecast
    from past runs, None when there are none. `cost` is what all gaps cost by quota; `deferred` are those that a quota
    does not admit now: they stay gaps, for a later plan.
    """

    id: UUID
    number: int
    pipeline: str
    counts: Mapping[Reason, int]
    lanes: int
    seconds: float | None
    in_flight: int
    remembered: Sequence[Remembered]
    repeating: int
    forced: bool
    created_at: datetime
    state: str
    cost: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    deferred: Sequence[Deferred] = ()
    pages: Callable[[], Iterator[Sequence[Gap[U_co]]]] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        """The number of gaps, those that are deferred included."""
        return sum(self.counts.values())

    @property
    def admitted(self) -> int:
        """The gaps that applying the plan would fill now."""
        return len(self) - sum(deferred.count for deferred in self.deferred)

    def __iter__(self) -> Iterator[Gap[U_co]]:
        """The gaps in plan order; needs the ledger, so it is for scripts (`Client.gaps` is for async code)."""
        if self.pages is None:
            msg = "This plan is not bound to a ledger: in async code use `async for gap in client.gaps(plan)`."
            raise TypeError(msg)
        for page in self.pages():
            yield from page

    def __bool__(self) -> bool:
        """A plan is true even when there is nothing to do; ask for its length."""
        return True


@dataclass(frozen=True, slots=True)
class Run(Generic[U_co]):
    """One execution of a pipeline over a batch, as the ledger has it."""

    id: UUID
    number: int
    pipeline: str
    units: Sequence[U_co]
    state: RunState
    error: str | None
    error_class: ErrorClass | None
    steps: Sequence[Outcome[Any]]
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    not_before: datetime | None = None
    plan: UUID | None = None
    priority: int = 0
    failed_step: str | None = None

    @property
    def unit(self) -> U_co:
        """The only unit, or the first of a batch."""
        return self.units[0]


@dataclass(frozen=True, slots=True)
class Summary(Generic[U_co]):
    """What an applied plan came to.

    `counts` has the runs by state; `failed` those that ended failed or partial, but for those whose failed units were
    tried again in a run of their own; `deferred` how many wait for a later
    time and `deferred_to` the first of these times; `dropped` the units that could not be taken, by reason;
    `seconds` the time it took.
    """

    plan: UUID
    counts: Mapping[RunState, int]
    failed: Sequence[Run[U_co]]
    seconds: float
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    deferred: int = 0
    deferred_to: datetime | None = None

    @property
    def ok(self) -> bool:
        """Nothing failed: every run completed, was skipped, or waits for a later time."""
        return not self.failed and not self.counts.get("cancelled")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in the CloudEvents envelope; `data` depends on the type."""

    id: UUID
    type: EventType
    time: datetime
    pipeline: str
    run: UUID | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Why:
    """Why a unit was run or not: a sentence, and the ledger's row that decides it."""

    sentence: str
    row: Mapping[str, Any]
