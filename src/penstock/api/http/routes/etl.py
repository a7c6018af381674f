"""The first API, to the letter: executions, trigger, logs, data quality. Names and types are its own."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field, PlainSerializer
from typing_extensions import TypeAliasType

from penstock.api.http.asked import Asked, Id
from penstock.api.http.bodies import Closed, Day, Object, Word
from penstock.api.http.guard import needs, tagged
from penstock.api.http.paging import Cursor, Limit, decode, encode, link
from penstock.api.http.problems import documented
from penstock.operations.executions import Execution, Layer


def _second(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


Moment = TypeAliasType("Moment", Annotated[datetime, PlainSerializer(_second, return_type=str)])
"""A time in UTC to the second, such as 2024-12-23T06:00:11Z."""


def _absent(value: object) -> bool:
    return value is None


class LayerShown(Closed):
    """A step; what does not apply to it is left out."""

    status: str
    records: int | None = Field(default=None, exclude_if=_absent)
    records_filtered: int | None = Field(default=None, exclude_if=_absent)
    size_mb: float | None = Field(default=None, exclude_if=_absent)
    tables_updated: list[str] | None = Field(default=None, exclude_if=_absent)
    duration_ms: int | None = Field(default=None, exclude_if=_absent)


class ExecutionShown(Closed):
    """An execution. `id` and `pipeline_id` are opaque; times and durations are null until they are known."""

    id: str
    pipeline_id: str
    pipeline_name: str
    status: Literal["scheduled", "running", "completed", "failed"]
    layers: dict[str, LayerShown]
    total_duration_ms: int | None
    started_at: Moment | None
    completed_at: Moment | None


class ExecutionList(Closed):
    """Executions, newest first; the `Link` header leads to the next page."""

    executions: list[ExecutionShown]


class DateRange(Closed):
    """Days, both included."""

    start: Day
    end: Day


class Parameters(Closed):
    """What to trigger; whatever else is named goes to the pipeline's own parameters."""

    model_config = Closed.model_config | {"extra": "allow"}
    date_range: DateRange | None = None
    force: bool = False


class TriggerAsked(Closed):
    """Which pipeline to run."""

    pipeline_id: Word
    parameters: Parameters = Parameters()


class Triggered(Closed):
    """The execution that does it."""

    execution_id: str
    status: Literal["scheduled", "running", "completed", "failed"]
    estimated_start: Moment


class LogLineShown(Closed):
    """A line that a step has logged."""

    timestamp: Moment
    level: str
    layer: str | None
    message: str


class LogLines(Closed):
    """Lines in order; the `Link` header leads to the next page."""

    logs: list[LogLineShown]


class Day24(Closed):
    """All records of a time."""

    total_records: int
    valid_records: int
    quality_score: float
    issues: dict[str, int]


class QualityMetrics(Closed):
    """By time."""

    last_24h: Day24


class PipelineQuality(Closed):
    """One pipeline's."""

    pipeline_id: str
    pipeline_name: str
    quality_score: float
    issues: int


class DataQuality(Closed):
    """The quality of what was made."""

    quality_metrics: QualityMetrics
    by_pipeline: list[PipelineQuality]


EXAMPLE_TRIGGER = {
    "pipeline_id": "pipe_456",
    "parameters": {"date_range": {"start": "2024-12-20", "end": "2024-12-23"}, "force": False},
}


def register(app: FastAPI) -> None:
    """Add the routes."""
    tags, base = tagged("etl"), "/api/v1/etl"
    view, work = needs("viewer"), needs("operator")
    app.get(f"{base}/executions", openapi_extra=view, tags=tags)(executions)
    app.post(f"{base}/trigger", openapi_extra=work, tags=tags, responses=documented(404))(trigger)
    app.get(f"{base}/executions/{{execution_id}}/logs", openapi_extra=view, tags=tags, responses=documented(404))(logs)
    app.get(f"{base}/data-quality", openapi_extra=view, tags=tags)(data_quality)


async def executions(
    request: Request,
    response: Response,
    asked: Asked,
    pipeline_id: Annotated[Word | None, Query()] = None,
    status: Annotated[Literal["scheduled", "running", "completed", "failed"] | None, Query()] = None,
    date_from: Annotated[Day | None, Query()] = None,
    date_to: Annotated[Day | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ExecutionList:
    """List pipeline executions."""
    found = await asked.operations.executions.find(
        pipeline_id=pipeline_id,
        status=status,
        date_from=date_from,
        date_to=date_to,
        org=asked.org,
        before=decode("executions", cursor),
        limit=limit,
    )
    if len(found) == limit:
        response.headers["Link"] = link(request, encode("executions", found[-1].number))
    return ExecutionList(executions=[_execution(one) for one in found])


async def trigger(asked: Asked, body: TriggerAsked) -> Triggered:
    """Manually trigger pipeline execution."""
    pipeline, where = await asked.operations.triggers.target(body.pipeline_id, org=asked.org)
    days = body.parameters.date_range
    start, end = _days(days)
    found = await asked.operations.triggers.trigger(
        pipeline,
        where=where,
        start=start,
        end=end,
        force=body.parameters.force,
        params=body.parameters.model_extra or None,
        org=asked.org,
    )
    return Triggered(execution_id=str(found.execution_id), status=found.status, estimated_start=found.estimated_start)


async def logs(
    request: Request, response: Response, asked: Asked, execution_id: Id, limit: Limit = 500, cursor: Cursor = None
) -> LogLines:
    """Get execution logs."""
    found = await asked.operations.executions.logs(
        execution_id, org=asked.org, after=decode("logs", cursor) or 0, limit=limit
    )
    if len(found) == limit:
        response.headers["Link"] = link(request, encode("logs", found[-1].number))
    return LogLines(
        logs=[
            LogLineShown(timestamp=line.timestamp, level=line.level, layer=line.layer, message=line.message)
            for line in found
        ]
    )


async def data_quality(asked: Asked) -> DataQuality:
    """Get data quality metrics."""
    found = await asked.operations.executions.quality(org=asked.org)
    whole = Day24(
        total_records=found.total_records,
        valid_records=found.valid_records,
        quality_score=found.quality_score,
        issues=dict(found.issues),
    )
    return DataQuality(
        quality_metrics=QualityMetrics(last_24h=whole),
        by_pipeline=[PipelineQuality.model_validate(one) for one in found.by_pipeline],
    )


def _days(given: DateRange | None) -> tuple[date | None, date | None]:
    return (None, None) if given is None else (given.start, given.end)


def _execution(one: Execution) -> ExecutionShown:
    return ExecutionShown(
        id=str(one.id),
        pipeline_id=one.pipeline_id,
        pipeline_name=one.pipeline_name,
        status=one.status,
        layers={name: _layer(layer) for name, layer in one.layers.items()},
        total_duration_ms=one.total_duration_ms,
        started_at=one.started_at,
        completed_at=one.completed_at,
    )


def _layer(layer: Layer) -> LayerShown:
    tables = None if layer.tables_updated is None else list(layer.tables_updated)
    return LayerShown(
        status=layer.status,
        records=layer.records,
        records_filtered=layer.records_filtered,
        size_mb=layer.size_mb,
        tables_updated=tables,
        duration_ms=layer.duration_ms,
    )


__all__ = ["Object", "register"]
