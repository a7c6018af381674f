"""What should run: pipelines, plans, backfills and schedules."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Struct

from penstock.api.grpc.asked import Asked, day, days, identified, number_in, page_size, parallel, token_of
from penstock.api.grpc.shaping import backfill_message, gap_message, plan_message, plan_summary
from penstock.api.grpc.statuses import invalid
from penstock.api.grpc.structs import at, plain
from penstock.api.grpc.v1 import plans_pb2 as pb
from penstock.definition.pipeline import Pipeline
from penstock.model.attempt import PlanId
from penstock.model.spelling import did_you_mean

BY = "api"
GAPS = 100
MOST_UNITS = 1_000
MOST_FIELDS = 50


class Plans:
    """Service penstock.v1.Plans."""

    async def list_pipelines(
        self,
        asked: Asked,
        request: pb.ListPipelinesRequest,  # noqa: ARG002 - every method has one
    ) -> pb.ListPipelinesResponse:
        """All that the token may know of."""
        known = asked.gateway.registry.pipelines.values()
        return pb.ListPipelinesResponse(
            pipelines=[_pipeline(one) for one in known if asked.org is None or one.org is not None]
        )

    async def plan(self, asked: Asked, request: pb.PlanRequest) -> pb.PlanResponse:
        """Plan, and run nothing."""
        pipeline = asked.pipeline(request.pipeline)
        start, end = days(
            request.start if request.HasField("start") else None, request.end if request.HasField("end") else None
        )
        found = await asked.client.plan(
            pipeline,
            units=_units(pipeline, list(request.units)),
            where=_where(pipeline, request.where),
            start=start,
            end=end,
            force=request.force,
            params=plain(request.params, "params") or None,
            triggered_by=BY,
        )
        return plan_message(found)

    async def get_plan(self, asked: Asked, request: pb.GetPlanRequest) -> pb.PlanResponse:
        """One."""
        return plan_message(await asked.client.show_plan(identified(request.plan_id, "plan_id")))

    async def list_plans(self, asked: Asked, request: pb.ListPlansRequest) -> pb.ListPlansResponse:
        """Newest first."""
        size, before = page_size(request.page_size), number_in("plans", request.page_token)
        found = await asked.operations.ledger.plans(
            app=asked.gateway.registry.name,
            pipeline=asked.pipeline(request.pipeline).name if request.HasField("pipeline") else None,
            org=asked.org,
            before=None if before is None else PlanId(before),
            limit=size,
        )
        following = token_of("plans", found[-1].number) if len(found) == size else ""
        return pb.ListPlansResponse(plans=[plan_summary(row) for row in found], next_page_token=following)

    async def list_gaps(self, asked: Asked, request: pb.ListGapsRequest) -> pb.ListGapsResponse:
        """Of an open plan, in order."""
        size, after = page_size(request.page_size, GAPS), number_in("gaps", request.page_token) or 0
        plan = await asked.client.show_plan(identified(request.plan_id, "plan_id"))
        pipeline = asked.pipeline(plan.pipeline)
        found, last = await asked.client.gap_page(plan, after, size)
        following = token_of("gaps", last) if len(found) == size else ""
        return pb.ListGapsResponse(gaps=[gap_message(pipeline, gap) for gap in found], next_page_token=following)

    async def apply_plan(self, asked: Asked, request: pb.ApplyPlanRequest) -> pb.PlanResponse:
        """Run exactly this plan; a second time it changes nothing."""
        at_once = parallel(request.parallel if request.HasField("parallel") else None)
        number = await asked.client.begin(identified(request.plan_id, "plan_id"), BY, at_once)
        return plan_message(await asked.client.show_plan(number))

    async def discard_plan(self, asked: Asked, request: pb.DiscardPlanRequest) -> pb.DiscardPlanResponse:
        """Put an open plan away."""
        plan = await asked.client.show_plan(identified(request.plan_id, "plan_id"))
        await asked.client.discard(plan.number)
        return pb.DiscardPlanResponse()

    async def start_backfill(self, asked: Asked, request: pb.StartBackfillRequest) -> pb.Backfill:
        """Fill the gaps of a range of days."""
        pipeline = asked.pipeline(request.pipeline)
        found = await asked.operations.backfills.start(
            pipeline,
            start=day(request.start, "start"),
            end=day(request.end, "end"),
            where=_where(pipeline, request.where),
            force=request.force,
            params=plain(request.params, "params") or None,
            parallel=parallel(request.parallel if request.HasField("parallel") else None),
            org=asked.org,
        )
        return backfill_message(found)

    async def get_backfill(self, asked: Asked, request: pb.GetBackfillRequest) -> pb.Backfill:
        """How far it is."""
        wanted = identified(request.backfill_id, "backfill_id")
        return backfill_message(await asked.operations.backfills.show(wanted, org=asked.org))

    async def list_backfills(self, asked: Asked, request: pb.ListBackfillsRequest) -> pb.ListBackfillsResponse:
        """Newest first."""
        size = page_size(request.page_size)
        found = await asked.operations.backfills.find(
            pipeline=asked.pipeline(request.pipeline).name if request.HasField("pipeline") else None,
            org=asked.org,
            before=number_in("backfills", request.page_token),
            limit=size,
        )
        following = token_of("backfills", found[-1].number) if len(found) == size else ""
        return pb.ListBackfillsResponse(backfills=[backfill_message(one) for one in found], next_page_token=following)

    async def list_schedules(
        self,
        asked: Asked,
        request: pb.ListSchedulesRequest,  # noqa: ARG002 - every method has one
    ) -> pb.ListSchedulesResponse:
        """When pipelines are planned next."""
        found = [
            pb.Schedule(
                pipeline=one.pipeline,
                cron=one.cron,
                timezone=one.timezone,
                next_at=at(one.next_at),
                last_at=at(one.last_at),
                last_plan=None if one.last_plan is None else str(one.last_plan),
                error=one.error,
                paused=one.paused,
            )
            for one in await asked.operations.scheduler.schedules()
        ]
        return pb.ListSchedulesResponse(schedules=found)


def _pipeline(one: Pipeline[Any]) -> pb.Pipeline:
    return pb.Pipeline(
        name=one.name,
        unit=one.units.fields,
        key=one.key,
        steps=list(one.steps),
        lane=one.lane,
        date=one.date,
        org=one.org,
        instance=one.instance,
        schedule=one.schedule,
        timezone=one.timezone,
        after=[earlier.name for earlier in one.after],
        batch=one.batch,
        version=one.version,
    )


def _where(pipeline: Pipeline[Any], given: Struct) -> dict[str, Any]:
    """Values that fields of the unit must have.

    Raises:
        Refusal: There is no such field, or its value is no scalar.
    """
    found = plain(given, "where")
    if len(found) > MOST_FIELDS:
        raise invalid(f"where: it names {len(found)} fields; at most {MOST_FIELDS} are read.")
    for field, value in found.items():
        _known(pipeline, field, "where")
        if value is None or isinstance(value, dict | list):
            raise invalid(f"where.{field}: give text, a number, or true or false.")
    return found


def _units(pipeline: Pipeline[Any], given: list[Struct]) -> list[Any] | None:
    """The units that are named; None where none is.

    Raises:
        InvalidData: One does not fit.
        Refusal: They are too many, or one has a field that the unit has not.
    """
    if len(given) > MOST_UNITS:
        raise invalid(f"units: {len(given):,} are named; at most {MOST_UNITS:,} are read. Say where= instead.")
    bodies = [plain(body, f"units.{number}") for number, body in enumerate(given)]
    for number, body in enumerate(bodies):
        for field in body:
            _known(pipeline, field, f"units.{number}")
    return [pipeline.units.load(body) for body in bodies] or None


def _known(pipeline: Pipeline[Any], field: str, place: str) -> None:
    if field not in pipeline.units.fields:
        known = ", ".join(pipeline.units.fields)
        near = did_you_mean(field[:200], pipeline.units.fields)
        raise invalid(f"{place}: there is no field {field[:200]!r}{near} There are {known}.")
