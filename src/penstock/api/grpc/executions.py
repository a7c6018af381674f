"""Executions: listed, shown, started, and how good they are."""

from __future__ import annotations

from penstock.api.grpc.asked import Asked, day, days, identified, name, number_in, page_size, token_of, word
from penstock.api.grpc.structs import at, plain
from penstock.api.grpc.v1 import executions_pb2 as pb
from penstock.operations.executions import STATUSES, Execution, Layer

LINES = 500


class Executions:
    """Service penstock.v1.Executions."""

    async def list_executions(self, asked: Asked, request: pb.ListExecutionsRequest) -> pb.ListExecutionsResponse:
        """Newest first."""
        size = page_size(request.page_size)
        found = await asked.operations.executions.find(
            pipeline_id=name(request.pipeline_id, "pipeline_id") if request.HasField("pipeline_id") else None,
            status=word(request.status, "status", STATUSES) if request.HasField("status") else None,
            date_from=day(request.date_from, "date_from") if request.HasField("date_from") else None,
            date_to=day(request.date_to, "date_to") if request.HasField("date_to") else None,
            org=asked.org,
            before=number_in("executions", request.page_token),
            limit=size,
        )
        following = token_of("executions", found[-1].number) if len(found) == size else ""
        return pb.ListExecutionsResponse(executions=[_execution(one) for one in found], next_page_token=following)

    async def get_execution(self, asked: Asked, request: pb.GetExecutionRequest) -> pb.Execution:
        """One."""
        wanted = identified(request.execution_id, "execution_id")
        return _execution(await asked.operations.executions.show(wanted, org=asked.org))

    async def get_execution_logs(
        self, asked: Asked, request: pb.GetExecutionLogsRequest
    ) -> pb.GetExecutionLogsResponse:
        """Its lines, in order."""
        wanted, size = identified(request.execution_id, "execution_id"), page_size(request.page_size, LINES)
        after = number_in("logs", request.page_token) or 0
        found = await asked.operations.executions.logs(wanted, org=asked.org, after=after, limit=size)
        lines = [
            pb.LogLine(timestamp=at(line.timestamp), level=line.level, layer=line.layer, message=line.message)
            for line in found
        ]
        following = token_of("logs", found[-1].number) if len(found) == size else ""
        return pb.GetExecutionLogsResponse(logs=lines, next_page_token=following)

    async def trigger(self, asked: Asked, request: pb.TriggerRequest) -> pb.TriggerResponse:
        """One execution over all that was asked for."""
        said = request.parameters
        start, end = None, None
        if said.HasField("date_range"):
            start, end = days(said.date_range.start, said.date_range.end, "parameters.date_range.")
        wanted = name(request.pipeline_id, "pipeline_id")
        pipeline, where = await asked.operations.triggers.target(wanted, org=asked.org)
        found = await asked.operations.triggers.trigger(
            pipeline,
            where=where,
            start=start,
            end=end,
            force=said.force,
            params=plain(said.params, "parameters.params") or None,
            org=asked.org,
        )
        return pb.TriggerResponse(
            execution_id=str(found.execution_id), status=found.status, estimated_start=at(found.estimated_start)
        )

    async def get_data_quality(
        self,
        asked: Asked,
        request: pb.GetDataQualityRequest,  # noqa: ARG002 - every method has one
    ) -> pb.GetDataQualityResponse:
        """Of the last 24 hours."""
        found = await asked.operations.executions.quality(org=asked.org)
        whole = pb.Quality(
            total_records=found.total_records,
            valid_records=found.valid_records,
            quality_score=found.quality_score,
            issues=found.issues,
        )
        by_pipeline = [
            pb.PipelineQuality(
                pipeline_id=one.pipeline_id,
                pipeline_name=one.pipeline_name,
                quality_score=one.quality_score,
                issues=one.issues,
            )
            for one in found.by_pipeline
        ]
        metrics = pb.QualityMetrics(last_24h=whole)
        return pb.GetDataQualityResponse(quality_metrics=metrics, by_pipeline=by_pipeline)


def _execution(one: Execution) -> pb.Execution:
    return pb.Execution(
        id=str(one.id),
        pipeline_id=one.pipeline_id,
        pipeline_name=one.pipeline_name,
        status=one.status,
        layers={step: _layer(layer) for step, layer in one.layers.items()},
        total_duration_ms=one.total_duration_ms,
        started_at=at(one.started_at),
        completed_at=at(one.completed_at),
        pipeline=one.pipeline,
        state=one.state,
        created_at=at(one.created_at),
        plan_id=str(one.plan),
        units=one.units,
        error=one.error,
        error_class=one.error_class,
        number=one.number,
    )


def _layer(layer: Layer) -> pb.Layer:
    return pb.Layer(
        status=layer.status,
        records=layer.records,
        records_filtered=layer.records_filtered,
        size_mb=layer.size_mb,
        tables_updated=layer.tables_updated,
        duration_ms=layer.duration_ms,
        error=layer.error,
    )
