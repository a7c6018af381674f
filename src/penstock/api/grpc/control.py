"""Runs, units and quotas: what was done, why or why not, and stopping it or trying it again."""

from __future__ import annotations

from typing import Final, get_args

from penstock.api.grpc.asked import Asked, identified, moment, number_in, page_size, token_of, word
from penstock.api.grpc.shaping import plan_message, run_message, unit_message
from penstock.api.grpc.statuses import invalid
from penstock.api.grpc.structs import at, plain, struct
from penstock.api.grpc.v1 import control_pb2 as pb
from penstock.api.grpc.v1 import plans_pb2
from penstock.model.states import RUN_STATES, Verdict

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


class Control:
    """Service penstock.v1.Control."""

    async def list_runs(self, asked: Asked, request: pb.ListRunsRequest) -> pb.ListRunsResponse:
        """Newest first, without their steps."""
        pipeline, size = asked.pipeline(request.pipeline), page_size(request.page_size)
        plan = None
        if request.HasField("plan_id"):
            plan = (await asked.client.show_plan(identified(request.plan_id, "plan_id"))).number
        found = await asked.client.runs(
            pipeline,
            state=word(request.state, "state", RUN_STATES) if request.HasField("state") else None,
            since=moment(request.since, "since") if request.HasField("since") else None,
            plan=plan,
            before=number_in("runs", request.page_token),
            limit=size,
        )
        following = token_of("runs", found[-1].number) if len(found) == size else ""
        return pb.ListRunsResponse(runs=[run_message(pipeline, run) for run in found], next_page_token=following)

    async def get_run(self, asked: Asked, request: pb.GetRunRequest) -> pb.Run:
        """With its steps."""
        found = await asked.client.show_run(identified(request.run_id, "run_id"))
        return run_message(asked.pipeline(found.pipeline), found)

    async def pause(self, asked: Asked, request: pb.PauseRequest) -> pb.PauseResponse:
        """No further run of it starts."""
        await _pause(asked, request, paused=True)
        return pb.PauseResponse()

    async def resume(self, asked: Asked, request: pb.ResumeRequest) -> pb.ResumeResponse:
        """Its runs start again."""
        await _pause(asked, request, paused=False)
        return pb.ResumeResponse()

    async def cancel(self, asked: Asked, request: pb.CancelRequest) -> pb.CancelResponse:
        """Stop a run, or all live runs of a plan."""
        match request.WhichOneof("what"):
            case "run_id":
                run = await asked.client.show_run(identified(request.run_id, "run_id"))
                states = await asked.client.cancel(run.number)
            case "plan_id":
                plan = await asked.client.show_plan(identified(request.plan_id, "plan_id"))
                states = await asked.client.cancel(plan=plan.number)
            case _:
                raise invalid("Give run_id or plan_id.")
        return pb.CancelResponse(runs=dict(states))

    async def retry(self, asked: Asked, request: pb.RetryRequest) -> plans_pb2.PlanResponse:
        """A new run over what did not complete."""
        return plan_message(await asked.client.retry(identified(request.run_id, "run_id")))

    async def list_units(self, asked: Asked, request: pb.ListUnitsRequest) -> pb.ListUnitsResponse:
        """Those that were ever taken, by number."""
        size = page_size(request.page_size)
        found = await asked.client.units(
            asked.pipeline(request.pipeline),
            verdict=word(request.verdict, "verdict", VERDICTS) if request.HasField("verdict") else None,
            after=number_in("units", request.page_token),
            limit=size,
        )
        following = token_of("units", found[-1]["number"]) if len(found) == size else ""
        return pb.ListUnitsResponse(units=[unit_message(row) for row in found], next_page_token=following)

    async def why(self, asked: Asked, request: pb.WhyRequest) -> pb.WhyResponse:
        """Why a unit was run or not."""
        pipeline, given = asked.pipeline(request.pipeline), plain(request.key, "key")
        if set(given) != set(pipeline.key):
            raise invalid(f"key: a unit of {pipeline.name} is told by {', '.join(pipeline.key)}.")
        key = {field: pipeline.units.value(field, found) for field, found in given.items()}
        found = await asked.client.why(pipeline, key)
        return pb.WhyResponse(sentence=found.sentence, row=struct(found.row))

    async def list_quotas(
        self,
        asked: Asked,
        request: pb.ListQuotasRequest,  # noqa: ARG002 - every method has one
    ) -> pb.ListQuotasResponse:
        """In their present windows."""
        found = [
            pb.Quota(
                name=use.name,
                limit=f"{use.limit:f}",
                reserve=f"{use.reserve:f}",
                per=use.per,
                timezone=use.timezone,
                starts_at=at(use.starts_at),
                ends_at=at(use.ends_at),
                used=f"{use.used:f}",
                reserved=f"{use.reserved:f}",
                open=f"{use.open:f}",
            )
            for use in await asked.client.quotas()
        ]
        return pb.ListQuotasResponse(quotas=found)


async def _pause(asked: Asked, request: pb.PauseRequest | pb.ResumeRequest, *, paused: bool) -> None:
    """Pause or resume a plan, or for tokens that see all organizations a pipeline."""
    change = asked.client.pause if paused else asked.client.resume
    match request.WhichOneof("what"):
        case "plan_id":
            plan = await asked.client.show_plan(identified(request.plan_id, "plan_id"))
            await change(plan.number)
        case "pipeline":
            pipeline = asked.pipeline(request.pipeline)
            asked.for_all()
            await change(pipeline=pipeline)
        case _:
            raise invalid("Give plan_id or pipeline.")
