"""Runs as the API shows them: executions with their layers, their logs, and the quality of what they made.

The names and types are those of the medallion system's first API: `id`, `pipeline_id`, `layers`, `records_filtered`,
`quality_score` and so on; a state of ours is translated here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast, get_args
from uuid import UUID

from penstock.definition.registry import Registry
from penstock.model.attempt import RunId
from penstock.model.errors import InvalidData, NotFound
from penstock.model.narrowing import is_list, is_mapping
from penstock.model.quality import USUAL, score
from penstock.ports.service import QualitySum, ServiceLedger, StoredExecution, StoredLayer

Status: TypeAlias = Literal["scheduled", "running", "completed", "failed"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
STATES: Final[Mapping[Status, tuple[str, ...]]] = {
    "scheduled": ("scheduled",),
    "running": ("running", "waiting"),
    "completed": ("completed", "partial", "skipped"),
    "failed": ("failed", "cancelled"),
}
DAY: Final = timedelta(hours=24)
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A step of an execution. What was not counted is None: `records` written, `size_mb` in millions of bytes."""

    status: str
    records: int | None = None
    records_filtered: int | None = None
    size_mb: float | None = None
    tables_updated: Sequence[str] | None = None
    duration_ms: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A run: `pipeline_id` is the instance of its pipeline that it belongs to, or the pipeline itself."""

    id: UUID
    number: int
    pipeline: str
    pipeline_id: str
    pipeline_name: str
    status: Status
    state: str
    org: str | None
    layers: Mapping[str, Layer]
    total_duration_ms: int | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None
    error_class: str | None
    plan: UUID
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of an execution's log."""

    number: int
    timestamp: datetime
    level: str
    layer: str | None
    message: str
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineQuality:
    """The quality of one instance: `issues` counts records with one."""

    pipeline_id: str
    pipeline_name: str
    quality_score: float
    issues: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality24h:
    """All records of the last 24 hours; `issues` by type, the usual types always among them."""

    total_records: int
    valid_records: int
    quality_score: float
    issues: Mapping[str, int]
    by_pipeline: Sequence[PipelineQuality] = field(default=())


class Executions:
    """Reads executions; every method takes the organization that may be seen, None for all of them."""

    def __init__(self, registry: Registry, ledger: ServiceLedger) -> None:
        self._registry, self._ledger = registry, ledger

    async def find(
        self,
        *,
        pipeline_id: str | None = None,
        status: Status | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        org: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Execution]:
        """Executions, newest first.

        Args:
            pipeline_id: An instance, a pipeline's public id, or its name.
            status: `scheduled`, `running`, `completed` or `failed`.
            date_from: The first day (UTC) on which it was made.
            date_to: The last such day.
            org: Whose may be seen.
            before: Only those with a smaller number: the cursor.
            limit: At most so many.
        """
        if date_from is not None and date_to is not None and date_from > date_to:
            raise InvalidData(f"date_from={date_from} is after date_to={date_to}.")
        pipeline, instance = await self._which(pipeline_id)
        found = await self._ledger.executions(
            app=self._registry.name,
            pipeline=pipeline,
            instance=instance,
            org=org,
            states=() if status is None else STATES[status],
            since=None if date_from is None else _midnight(date_from),
            until=None if date_to is None else _midnight(date_to + timedelta(days=1)),
            before=None if before is None else RunId(before),
            limit=limit,
        )
        return [public_execution(stored) for stored in found]

    async def show(self, execution: UUID | int, *, org: str | None = None) -> Execution:
        """One execution.

        Raises:
            NotFound: There is none, or it is another organization's.
        """
        run = RunId(execution) if isinstance(execution, int) else self._ledger.run_id(execution)
        found = await self._ledger.executions(app=self._registry.name, ids=[run], org=org, limit=1)
        if not found:
            raise NotFound(f"There is no execution {execution}.")
        return public_execution(found[0])

    async def logs(
        self, execution: UUID | int, *, org: str | None = None, after: int = 0, limit: int = 1_000
    ) -> Sequence[LogLine]:
        """The lines of its log after a number.

        Raises:
            NotFound: There is no such execution, or it is another organization's.
        """
        shown = await self.show(execution, org=org)
        rows = await self._ledger.logs(RunId(shown.number), after, limit)
        return [
            LogLine(
                number=row["number"],
                timestamp=row["at"],
                level=row["level"],
                layer=row["step"],
                message=row["message"],
                fields=row["fields"],
            )
            for row in rows
        ]

    async def quality(self, *, org: str | None = None, now: datetime | None = None) -> Quality24h:
        """What was measured in the last 24 hours."""
        since = (now or datetime.now(UTC)) - DAY
        found = await self._ledger.quality(app=self._registry.name, org=org, since=since)
        total, valid = sum(one.total for one in found), sum(one.valid for one in found)
        issues: dict[str, int] = dict[str, int].fromkeys(USUAL, 0)
        for one in found:
            for kind, count in one.issues.items():
                issues[kind] = issues.get(kind, 0) + int(count)
        return Quality24h(
            total_records=total,
            valid_records=valid,
            quality_score=score(total, valid),
            issues=issues,
            by_pipeline=[_of_pipeline(one) for one in found],
        )

    async def _which(self, pipeline_id: str | None) -> tuple[str | None, str | None]:
        """The pipeline and the instance that an id stands for."""
        if pipeline_id is None:
            return None, None
        if pipeline_id in self._registry.pipelines:
            return pipeline_id, None
        try:
            public = UUID(pipeline_id)
        except ValueError:
            return None, pipeline_id
        name = await self._ledger.pipeline_of(self._registry.name, public)
        return (name, None) if name is not None else (None, pipeline_id)


def status_of(state: str) -> Status:
    """A state of ours in the API's words; a crashed run is running, since it is taken up again."""
    for status, states in STATES.items():
        if state in states:
            return status
    return "running"


def public_execution(stored: StoredExecution) -> Execution:
    """A stored run as the API shows it."""
    over = stored.finished_at is not None and stored.seconds is not None
    return Execution(
        id=stored.uuid,
        number=stored.id,
        pipeline=stored.pipeline,
        pipeline_id=stored.pipeline_id,
        pipeline_name=stored.pipeline_name,
        status=status_of(stored.state),
        state=stored.state,
        org=stored.org,
        layers={layer.step: _layer(layer) for layer in stored.layers if layer.state is not None},
        total_duration_ms=round(stored.seconds * 1000) if over and stored.seconds is not None else None,
        created_at=stored.created_at,
        started_at=stored.started_at,
        completed_at=stored.finished_at,
        error=stored.error,
        error_class=stored.error_class,
        plan=stored.plan,
        units=stored.units,
    )


def _layer(stored: StoredLayer) -> Layer:
    counts, tables = stored.counts, tables_of(stored.output)
    several = tables if is_list(stored.output) and tables else None
    records = counts.get("written", counts.get("read"))
    return Layer(
        status=stored.state or "scheduled",
        records=None if several else records,
        records_filtered=counts.get("filtered"),
        size_mb=round(counts["bytes"] / MEGABYTE, 1) if counts.get("bytes") else None,
        tables_updated=several,
        duration_ms=None if stored.seconds is None else round(stored.seconds * 1000),
        error=stored.error,
    )


def tables_of(output: object) -> Sequence[str]:
    """The tables that a step's output names: what `data.load` and `Publication.publish` return."""
    items: Sequence[Any] = output if is_list(output) else [output]
    named = [cast("Mapping[str, Any]", item).get("table") for item in items if is_mapping(item)]
    return list(dict.fromkeys(str(name).rpartition(".")[2] for name in named if name))


def _of_pipeline(one: QualitySum) -> PipelineQuality:
    return PipelineQuality(
        pipeline_id=one.pipeline_id,
        pipeline_name=one.pipeline_name,
        quality_score=score(one.total, one.valid),
        issues=sum(int(count) for count in one.issues.values()),
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
