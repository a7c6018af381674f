"""What is asked and answered beside the first API: plans, runs, units and the rest. Schemas are closed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from penstock.model.states import ErrorClass, Reason, RunState, StepState, Verdict
from penstock.model.token import Role

Scalar: TypeAlias = str | int | float | bool
Object: TypeAlias = dict[str, Any]
Day: TypeAlias = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2199, 12, 31))]
Word: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class Closed(BaseModel):
    """Nothing but what is named."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class PlanAsked(Closed):
    """Which gaps to plan."""

    pipeline: Word
    where: dict[Word, Scalar] = Field(
        default={}, max_length=50, description="Values that fields of the unit must have."
    )
    units: list[Object] | None = Field(default=None, max_length=1_000, description="These units and no others.")
    start: Day | None = None
    end: Day | None = None
    force: bool = Field(default=False, description="What exists is made again.")
    params: Object | None = None


class BackfillAsked(Closed):
    """Which days of which units to fill."""

    pipeline: Word
    start: Day
    end: Day
    where: dict[Word, Scalar] = Field(
        default={}, max_length=50, description="Values that fields of the unit must have."
    )
    force: bool = Field(default=False, description="What exists is made again.")
    params: Object | None = None
    parallel: int | None = Field(default=None, ge=1, le=10_000, description="Runs of it at work at once.")


class BackfillShown(Closed):
    """How far a backfill is: `done` of `total` runs are over."""

    id: UUID
    number: int
    pipeline: str
    state: Literal["running", "paused", "completed", "partial", "failed", "cancelled"]
    total: int
    done: int
    runs: dict[str, int]
    parallel: int | None
    created_at: datetime


class ApplyAsked(Closed):
    """How to carry a plan out."""

    parallel: int | None = Field(default=None, ge=1, le=10_000, description="Runs of it at work at once.")


class Held(Closed):
    """Units that are no gap yet."""

    verdict: str
    count: int
    until: datetime | None


class PutOff(Closed):
    """Gaps that a quota does not admit now."""

    quota: str
    count: int
    until: datetime | None


class PlanShown(Closed):
    """A plan."""

    id: UUID
    number: int
    pipeline: str
    state: Literal["open", "applied", "discarded"]
    counts: dict[Reason, int]
    gaps: int
    admitted: int
    lanes: int
    seconds: float | None
    in_flight: int
    remembered: list[Held]
    repeating: int
    forced: bool
    cost: dict[str, Decimal]
    deferred: list[PutOff]
    created_at: datetime


class GapShown(Closed):
    """A unit that should exist and does not."""

    unit: Object
    reason: Reason
    priority: int
    lane: str
    source_version: str | None
    cost: dict[str, Decimal]
    deferred: str | None
    deferred_until: datetime | None


class StepShown(Closed):
    """What became of a step."""

    step: str
    state: StepState | None
    attempts: int
    seconds: float
    error_class: ErrorClass | None
    error: str | None
    output: Any


class RunShown(Closed):
    """One execution of a pipeline over a batch; `steps` is empty in lists."""

    id: UUID
    number: int
    pipeline: str
    plan: UUID | None
    state: RunState
    units: list[Object]
    priority: int
    error_class: ErrorClass | None
    error: str | None
    failed_step: str | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    not_before: datetime | None
    steps: list[StepShown]


class Progress(Closed):
    """How far a plan is: its runs by state."""

    plan: UUID
    pipeline: str
    state: Literal["open", "applied", "discarded"]
    runs: dict[str, int]
    over: bool = Field(description="No run of it is scheduled, running or waiting any more.")


class LogShown(Closed):
    """A line of a run's log."""

    number: int
    at: datetime
    level: str
    step: str | None
    message: str
    fields: Object | None


class Paused(Closed):
    """Whether runs start."""

    paused: bool


class Cancelled(Closed):
    """The state of each run after it was asked to stop, by number."""

    runs: dict[str, RunState]


class UnitShown(Closed):
    """What is remembered of a unit."""

    number: int
    pipeline: str
    key: Object
    unit: Object
    verdict: Verdict
    source_version: str | None
    failures: int
    repeats: int
    not_before: datetime | None
    completed_at: datetime | None
    completed_version: str | None
    last_run: UUID | None
    active_run: UUID | None


class WhyAsked(Closed):
    """Which unit, by its key."""

    key: dict[Word, Scalar] = Field(min_length=1, max_length=50)


class WhyShown(Closed):
    """Why a unit was run or not."""

    sentence: str
    row: Object


class PipelineShown(Closed):
    """A pipeline as the code says it."""

    name: str
    unit: list[str] = Field(description="The fields of its unit.")
    key: list[str]
    steps: list[str]
    lane: str | None
    date: str | None
    org: str | None
    instance: str | None
    schedule: str | None
    timezone: str | None
    after: list[str]
    batch: int
    version: int


class QuotaShown(Closed):
    """A quota in its present window."""

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


class ScheduleShown(Closed):
    """When a pipeline is planned next."""

    pipeline: str
    cron: str
    timezone: str
    next_at: datetime
    last_at: datetime | None
    last_plan: UUID | None
    error: str | None
    paused: bool


class OverrideAsked(Closed):
    """A figure to set instead of the code's."""

    value: str = Field(min_length=1, max_length=200)
    note: str | None = Field(default=None, max_length=1_000)


class OverrideShown(Closed):
    """A figure that is set instead of the code's."""

    pipeline: str | None
    name: str
    value: str
    note: str | None
    changed_at: datetime | None
    changed_by: str | None
    fault: str | None = None


class TokenAsked(Closed):
    """A token to give out."""

    name: str = Field(min_length=1, max_length=100)
    role: Role = "viewer"
    org: str | None = Field(
        default=None, min_length=1, max_length=200, description="The only organization that it sees."
    )
    days: float | None = Field(default=None, gt=0, le=3_660, description="How long it is in force; for ever without.")


class TokenShown(Closed):
    """What is known of a token."""

    name: str
    role: Role
    org: str | None
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenMade(TokenShown):
    """A token that was just made: `token` is shown this once."""

    token: str


class GapPage(Closed):
    """Gaps in the order of the plan."""

    items: list[GapShown]
    next_cursor: str | None


class RunPage(Closed):
    """Runs, newest first."""

    items: list[RunShown]
    next_cursor: str | None


class LogPage(Closed):
    """Lines in order."""

    items: list[LogShown]
    next_cursor: str | None


class BackfillPage(Closed):
    """Backfills, newest first."""

    items: list[BackfillShown]
    next_cursor: str | None


class UnitPage(Closed):
    """Units by number."""

    items: list[UnitShown]
    next_cursor: str | None
