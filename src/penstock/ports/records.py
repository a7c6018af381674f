"""What goes into the ledger and what comes out of it, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from penstock.model.attempt import Instant, PlanId, RunEnd, RunId, Try, UnitId
from penstock.model.key import Key
from penstock.model.quota import UnitCost
from penstock.model.shape import Shape
from penstock.model.states import AttemptState, ErrorClass, EventType, Reason, StepState, Verdict, WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedUnit:
    """One wanted unit that Python listed: its canonical key and the unit as a JSON object."""

    key: str
    unit: Mapping[str, Any]
    lane: str | None = None
    priority: int = 0
    source_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuery:
    """Everything that planning needs to know of a pipeline, as data.

    `wanted` is SQL text or the units themselves, already in order. `existing` is SQL text, or None for what the ledger
    knows as completed. `binds` are the values of both queries' `%(name)s`. `where` are values that fields of the unit
    must have, `keys` the canonical keys that the plan is narrowed to.
    `roles` are the unit's fields that say organization, instance and the instance's name; `org` is the
    organization whose units alone were asked for.
    """

    app: str
    pipeline: str
    space: str
    shape: Shape
    definition: str
    fields: tuple[str, ...]
    key: Key
    wanted: str | Sequence[ListedUnit]
    existing: str | None = None
    binds: Mapping[str, Any] = field(default_factory=dict[str, Any])
    lane: str | None = None
    order: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict[str, Any])
    keys: tuple[str, ...] | None = None
    date: str | None = None
    start: Any = None
    end: Any = None
    forced: bool = False
    params: str | None = None
    triggered_by: str = "manual"
    priority: int | None = None
    one_run: bool = False
    wanted_name: str = "wanted"
    unit_name: str = "unit"
    costs: tuple[UnitCost, ...] = ()
    roles: tuple[str | None, str | None, str | None] = (None, None, None)
    org: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as the ledger has it. `remembered` is (verdict, units, first time one is tried again).

    `cost` is that of all gaps by quota; `deferred` is (quota, gaps, when the first of them fits, None: never).
    `window_over` says that the window of a quota under which it was admitted has ended.
    """

    id: PlanId
    uuid: UUID
    app: str
    pipeline: str
    state: Literal["open", "applied", "discarded"]
    paused: bool
    definition: str
    forced: bool
    counts: Mapping[Reason, int]
    runs: int
    lanes: int
    longest_lane: int
    in_flight: int
    remembered: Sequence[tuple[str, int, datetime | None]]
    repeating: int
    created_at: datetime
    applied_at: datetime | None
    age: float
    seconds_a_run: float | None
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    cost: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    deferred: Sequence[tuple[str, int, datetime | None]] = ()
    window_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGap:
    """One gap of an open plan, in plan order."""

    position: int
    key: str
    unit: Mapping[str, Any]
    reason: Reason
    priority: int
    lane: str
    source_version: str | None
    costs: tuple[tuple[str, Decimal], ...] = ()
    deferred_by: str | None = None
    deferred_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an apply did: runs of the plan, and the units it could not take, by reason."""

    plan: PlanId
    runs: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a write must show: the run, its lane, and the fence under which it was claimed."""

    run: RunId
    lane: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUnit:
    """A unit of a claimed run. `state` is set when it is out of the run already."""

    no: int
    id: UnitId
    unit: Mapping[str, Any]
    source_version: str | None
    reason: Reason
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that this process holds now.

    `claims` above 1 means that it had begun before, `copied` that it may have taken over steps of another run.
    """

    hold: Hold
    uuid: UUID
    pipeline: str
    plan: PlanId
    shape: Shape
    units: tuple[HeldUnit, ...]
    params: str | None = None
    claims: int = 1
    started: Instant
    cancel: bool = False
    losses: int = 0
    tries: int = 0
    copied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt, opened or ended. `elapsed` is seconds since it began; `output`, `counts`, `quality` are JSON text.

    `ended` is the order of the outcomes of its run, None while it is open. `fresh` says that it ends a row of losses.
    """

    hold: Hold
    seq: int
    step: str
    attempt: int
    state: AttemptState
    elapsed: float = 0.0
    ended: int | None = None
    units_left: int | None = None
    units_failed: int | None = None
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    reason: WaitReason | None = None
    output: str | None = None
    counts: str | None = None
    quality: str | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """What a step came to for one unit of a batch."""

    hold: Hold
    step: str
    unit_no: int
    state: Literal["done", "skipped", "failed"]
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    output: str | None = None
    counts: str | None = None
    quality: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRecord:
    """The run goes, to come back at `until`: keeping its lane, or freeing it and scheduled again."""

    hold: Hold
    until: Instant
    reason: WaitReason
    keep_lane: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitEnd:
    """How a unit is remembered; see `planning.memory`.

    `limit` is the longest that it is held back, in seconds. `state` is set where it differs from the run's.
    """

    no: int
    verdict: Verdict
    counts: bool = False
    first: float = 0.0
    limit: float = 7 * 86_400.0
    until: Instant | None = None
    alone: bool = False
    state: Literal["failed", "partial", "completed"] | None = None
    error_class: ErrorClass | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """One more run over these units of the batch, not before `until`, as try number `tries` + 1 of the chain."""

    units: tuple[int, ...]
    until: Instant
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRecord:
    """The end of a run. `keep` asks for the lane's next run in the same commit; `event` goes to the outbox."""

    hold: Hold
    state: RunEnd
    units: tuple[UnitEnd, ...]
    error_class: ErrorClass | None = None
    error: str | None = None
    failed_step: str | None = None
    keep: bool = False
    follow: FollowUp | None = None
    event: EventType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """An attempt as it is on disk. `not_before` is what the other side or the handler said, for whatever class."""

    seq: int
    step: str
    attempt: int
    state: AttemptState
    seconds: float
    outcome: Try | None
    error_class: ErrorClass | None = None
    error: str | None = None
    output: str | None = None
    not_before: Instant | None = None
    reason: WaitReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A call for one unit as it is on disk."""

    step: str
    unit_no: int
    state: Literal["done", "skipped", "failed"]
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that is recorded of a run, in order of seq; `tries` are the outcomes in the order of their record."""

    attempts: tuple[RecordedAttempt, ...] = ()
    calls: tuple[RecordedCall, ...] = ()

    @property
    def tries(self) -> list[Try]:
        """What `drive` folds."""
        return [a.outcome for a in self.attempts if a.outcome is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """What a handler said. `at` is the ledger's time or near it."""

    run: RunId
    step: str | None
    attempt: int | None
    at: Instant
    level: str
    message: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStep:
    """A step of a run as the views show it."""

    step: str
    state: StepState | None
    attempts: int
    seconds: float
    error_class: ErrorClass | None
    error: str | None
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as the views show it. `units` are the units' JSON objects."""

    id: RunId
    uuid: UUID
    app: str
    pipeline: str
    plan: UUID
    state: str
    lane: str
    priority: int
    units: tuple[Mapping[str, Any], ...]
    size: int
    not_before: datetime | None
    wait_reason: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_class: ErrorClass | None
    error: str | None
    failed_step: str | None
    steps: tuple[StoredStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """Live runs of some pipelines. `deferred` are scheduled for later or paused, `first` the earliest such time.

    `elsewhere` are carried by another live process; `open` is what this process could still be given.
    """

    open: int
    elsewhere: int
    deferred: int
    first: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A draw that does not fit: whose budget, what is free of what limit, and when there is a new one (None: never)."""

    quota: str
    limit: Decimal
    free: Decimal
    until: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """A quota in its present window: `used` has open draws at their worst case, `reserved` what runs may yet draw."""

    name: str
    limit: Decimal
    reserve: Decimal
    per: str | None
    timezone: str
    starts_at: datetime | None
    ends_at: datetime | None
    used: Decimal
    reserved: Decimal
    open: Decimal
