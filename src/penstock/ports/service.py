"""What a service needs of the ledger beside runs: schedules, triggers, executions as the API shows them, quality."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from penstock.model.attempt import PlanId, RunId
from penstock.ports.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """A step of a run as the API shows layers; `counts` of a step that was called per unit are added up."""

    run: RunId
    step: str
    state: str | None
    attempts: int
    seconds: float | None
    counts: Mapping[str, int]
    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExecution:
    """A run as the API shows it. `pipeline_id` is its instance, or its pipeline's own public id."""

    id: RunId
    uuid: UUID
    pipeline: str
    pipeline_id: str
    pipeline_name: str
    org: str | None
    state: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    error_class: str | None
    error: str | None
    plan: UUID
    units: int
    layers: tuple[StoredLayer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySum:
    """Records and issues of one instance in a time: `issues` by type."""

    pipeline: str
    pipeline_id: str
    pipeline_name: str
    total: int
    valid: int
    issues: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a pipeline is planned next, and how the last time went."""

    pipeline: str
    cron: str
    timezone: str
    next_at: datetime
    last_at: datetime | None = None
    last_plan: UUID | None = None
    error: str | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A plan in a list: `runs_by_state` counts its runs, and is empty while it is open."""

    number: int
    id: UUID
    pipeline: str
    state: str
    paused: bool
    forced: bool
    triggered_by: str
    created_at: datetime
    applied_at: datetime | None
    runs: int | None
    parallel: int | None
    gaps: Mapping[str, int]
    runs_by_state: Mapping[str, int]
    org: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The run that began last, of all pipelines of an app; `rows` were written by its steps."""

    number: int
    state: str
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    rows: int


class ServiceLedger(Ledger, Protocol):
    """A ledger that a service can be built on."""

    async def last_run(self, app: str) -> LastRun | None:
        """The run that began last, of those at work and those that ended last in each pipeline."""
        ...

    async def revision(self) -> str | None:
        """The revision of its schema."""
        ...

    async def plans(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        org: str | None = None,
        triggered_by: str | None = None,
        ids: Sequence[PlanId] | None = None,
        before: PlanId | None = None,
        limit: int = 50,
    ) -> Sequence[PlanRow]:
        """Plans newest first; of an organization those that were asked for its units."""
        ...

    async def executions(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        instance: str | None = None,
        org: str | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        ids: Sequence[RunId] | None = None,
        before: RunId | None = None,
        limit: int = 50,
    ) -> Sequence[StoredExecution]:
        """Runs newest first, with their layers; those made from `since` on and before `until`."""
        ...

    async def pipeline_of(self, app: str, public: UUID) -> str | None:
        """The name of the pipeline with this public id."""
        ...

    async def quality(self, *, app: str, org: str | None, since: datetime) -> Sequence[QualitySum]:
        """What steps found from then on, by instance (or pipeline, where it has none)."""
        ...

    async def holder(
        self,
        *,
        app: str,
        pipeline: str,
        where: Mapping[str, Any],
        keys: Sequence[str] | None,
        days: tuple[str, Any, Any] | None,
    ) -> RunId | None:
        """The live run that carries such a unit: fields with these values, these keys, a day (field, first, last)."""
        ...

    async def skip(self, plan: PlanId, *, triggered_by: str, org: str | None, instance: str | None) -> RunId:
        """End a plan without gaps with one run in state `skipped`."""
        ...

    async def first_run(self, plan: PlanId) -> RunId | None:
        """The first run of an applied plan."""
        ...

    async def set_schedules(self, app: str, schedules: Sequence[Schedule]) -> None:
        """These are the schedules; the next time of one that did not change stays as it is."""
        ...

    async def schedules(self, app: str) -> Sequence[Schedule]:
        """All of them, by pipeline."""
        ...

    async def due(self, app: str) -> Sequence[tuple[Schedule, datetime]]:
        """Those whose time has come, with the ledger's present time."""
        ...

    async def take_tick(self, app: str, schedule: Schedule) -> bool:
        """Whether this process is the one to plan for it; if it dies over it, another is in a few minutes."""
        ...

    async def ticked(
        self, app: str, schedule: Schedule, *, next_at: datetime, plan: PlanId | None, error: str | None
    ) -> None:
        """What a tick that was taken came to, and the next time, unless the schedule was changed meanwhile."""
        ...

    async def take_done(self, app: str, pipelines: Sequence[str]) -> Mapping[PlanId, str]:
        """Plans of these pipelines that are done and were not followed, with the name of each one's pipeline.

        Each is given to one asker, and to another in a few minutes if nobody says `followed`.
        """
        ...

    async def followed(self, plans: Collection[PlanId]) -> None:
        """The pipelines that come after these plans are planned."""
        ...
