"""Who may call what: every method of the protocol, as nobody, viewer, operator, admin and another organization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct

from penstock.api.grpc.guard import rule_of
from penstock.api.grpc.serving import services
from penstock.api.grpc.v1 import administration_pb2, control_pb2, events_pb2, executions_pb2, plans_pb2
from penstock.model.token import ROLES, Role
from tests.api.conftest import Served, until
from tests.api.grpc_caller import Caller, connected

OPERATORS = {
    "Executions.Trigger",
    "Plans.Plan",
    "Plans.ApplyPlan",
    "Plans.DiscardPlan",
    "Plans.StartBackfill",
    "Control.Pause",
    "Control.Resume",
    "Control.Cancel",
    "Control.Retry",
}
ADMINS = {
    "Administration.SetOverride",
    "Administration.UnsetOverride",
    "Administration.ListTokens",
    "Administration.CreateToken",
    "Administration.RevokeToken",
}
WHOLE = {
    "Plans.ListSchedules",
    "Control.ListQuotas",
    "Administration.ListOverrides",
    "Administration.SetOverride",
    "Administration.UnsetOverride",
}
"""What concerns all organizations."""
WELL = {grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}
"""What a call that was let in ends with: it was done, or the thing is in another state or gone by then."""


def methods() -> dict[str, MethodDescriptor]:
    """Every method of every service, such as Plans.Plan."""
    return {f"{name}.{method.name}": method for name, service in services().items() for method in service.methods}


@dataclass
class Things:
    """What organization 7 has."""

    plan: str
    run: str
    backfill: str

    def request(self, name: str) -> Message:
        """A request that is about them, or about nothing in particular; every method must have one."""
        key = Struct()
        key.update({"feed_id": "pipe_456", "day": "2024-12-20"})
        where = Struct()
        where.update({"feed_id": "pipe_456"})
        known: dict[str, Callable[[], Message]] = {
            "Executions.ListExecutions": executions_pb2.ListExecutionsRequest,
            "Executions.GetExecution": lambda: executions_pb2.GetExecutionRequest(execution_id=self.run),
            "Executions.GetExecutionLogs": lambda: executions_pb2.GetExecutionLogsRequest(execution_id=self.run),
            "Executions.Trigger": lambda: executions_pb2.TriggerRequest(pipeline_id="pipe_456"),
            "Executions.GetDataQuality": executions_pb2.GetDataQualityRequest,
            "Plans.ListPipelines": plans_pb2.ListPipelinesRequest,
            "Plans.Plan": lambda: plans_pb2.PlanRequest(pipeline="ads", where=where),
            "Plans.GetPlan": lambda: plans_pb2.GetPlanRequest(plan_id=self.plan),
            "Plans.ListPlans": plans_pb2.ListPlansRequest,
            "Plans.ListGaps": lambda: plans_pb2.ListGapsRequest(plan_id=self.plan),
            "Plans.ApplyPlan": lambda: plans_pb2.ApplyPlanRequest(plan_id=self.plan),
            "Plans.DiscardPlan": lambda: plans_pb2.DiscardPlanRequest(plan_id=self.plan),
            "Plans.StartBackfill": lambda: plans_pb2.StartBackfillRequest(
                pipeline="ads", start="2024-12-20", end="2024-12-21", where=where
            ),
            "Plans.GetBackfill": lambda: plans_pb2.GetBackfillRequest(backfill_id=self.backfill),
            "Plans.ListBackfills": plans_pb2.ListBackfillsRequest,
            "Plans.ListSchedules": plans_pb2.ListSchedulesRequest,
            "Control.ListRuns": lambda: control_pb2.ListRunsRequest(pipeline="ads"),
            "Control.GetRun": lambda: control_pb2.GetRunRequest(run_id=self.run),
            "Control.Pause": lambda: control_pb2.PauseRequest(plan_id=self.plan),
            "Control.Resume": lambda: control_pb2.ResumeRequest(plan_id=self.plan),
            "Control.Cancel": lambda: control_pb2.CancelRequest(plan_id=self.plan),
            "Control.Retry": lambda: control_pb2.RetryRequest(run_id=self.run),
            "Control.ListUnits": lambda: control_pb2.ListUnitsRequest(pipeline="ads"),
            "Control.Why": lambda: control_pb2.WhyRequest(pipeline="ads", key=key),
            "Control.ListQuotas": control_pb2.ListQuotasRequest,
            "Events.WatchEvents": lambda: events_pb2.WatchEventsRequest(after=0, execution_id=self.run),
            "Administration.ListOverrides": administration_pb2.ListOverridesRequest,
            "Administration.SetOverride": lambda: administration_pb2.SetOverrideRequest(
                name="retry.attempts", value="3"
            ),
            "Administration.UnsetOverride": lambda: administration_pb2.UnsetOverrideRequest(name="retry.attempts"),
            "Administration.ListTokens": administration_pb2.ListTokensRequest,
            "Administration.CreateToken": lambda: administration_pb2.CreateTokenRequest(name="walked", role="viewer"),
            "Administration.RevokeToken": lambda: administration_pb2.RevokeTokenRequest(name="walked"),
        }
        return known[name]()


ABOUT_SEVEN = {
    "Executions.GetExecution", "Executions.GetExecutionLogs", "Plans.GetPlan", "Plans.ListGaps", "Plans.ApplyPlan",
    "Plans.DiscardPlan", "Plans.GetBackfill", "Control.GetRun", "Control.Pause", "Control.Resume", "Control.Cancel",
    "Control.Retry", "Events.WatchEvents",
}  # fmt: skip
"""Methods whose request names a thing of organization 7 by its id."""


@pytest.fixture
async def things(served: Served) -> Things:
    async with connected(served, "admin") as caller:
        where = Struct()
        where.update({"org_id": 7, "feed_id": "pipe_457"})
        plan = await caller(caller.plans.Plan, plans_pb2.PlanRequest(pipeline="ads", where=where))
        run = await caller(caller.executions.Trigger, executions_pb2.TriggerRequest(pipeline_id="pipe_456"))

        async def done() -> bool:
            shown = await caller(caller.control.GetRun, control_pb2.GetRunRequest(run_id=run.execution_id))
            return bool(shown.state == "completed")

        await until(done, "completed")
    async with connected(served, "operator", "7") as own:
        backfill = await own(
            own.plans.StartBackfill,
            plans_pb2.StartBackfillRequest(pipeline="ads", start="2024-12-20", end="2024-12-20"),
        )
        mine = await own(own.plans.Plan, plans_pb2.PlanRequest(pipeline="ads", where=where))
    assert plan.gaps == 4
    return Things(plan=mine.id, run=run.execution_id, backfill=backfill.id)


async def code_of(caller: Caller, method: MethodDescriptor, request: Message) -> tuple[grpc.StatusCode, str]:
    """The status of a call; of a stream that it began, or why it did not."""
    kind = GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    make: Any = caller.channel.unary_stream if method.server_streaming else caller.channel.unary_unary
    call = make(path, request_serializer=type(request).SerializeToString, response_deserializer=kind.FromString)(
        request, metadata=caller.metadata, timeout=20
    )
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def test_every_method_needs_what_is_written_here() -> None:
    for name, method in methods().items():
        rule = rule_of(method)
        assert rule.role == ("operator" if name in OPERATORS else "admin" if name in ADMINS else "viewer"), name
        assert rule.all_organizations == (name in WHOLE), name
        assert rule.reads == (method.name.startswith(("List", "Get", "Watch", "Why"))), name
        assert rule.keeps == (name != "Administration.CreateToken"), name
    assert set(methods()) >= OPERATORS | ADMINS | WHOLE | ABOUT_SEVEN


async def test_nobody_gets_anything(served: Served, things: Things) -> None:
    async with connected(served, None) as nobody, connected(served, None) as stranger:
        stranger.metadata = (("authorization", "Bearer pst_" + "x" * 46),)
        for name, method in methods().items():
            for caller in (nobody, stranger):
                code, detail = await code_of(caller, method, things.request(name))
                assert code is grpc.StatusCode.UNAUTHENTICATED, (name, detail)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_gets_its_methods_and_no_others(served: Served, things: Things, role: Role) -> None:
    async with connected(served, role) as caller:
        for name, method in methods().items():
            code, detail = await code_of(caller, method, things.request(name))
            if ROLES.index(role) < ROLES.index(rule_of(method).role):
                assert code is grpc.StatusCode.PERMISSION_DENIED, name
                assert rule_of(method).role in detail
            else:
                assert code in WELL, (name, code, detail)


async def test_another_organization_finds_nothing(served: Served, things: Things) -> None:
    async with connected(served, "admin", "8") as other, connected(served, "admin") as whole:
        before = await whole(whole.plans.ListPlans, plans_pb2.ListPlansRequest())
        for name, method in methods().items():
            request = things.request(name)
            code, detail = await code_of(other, method, request)
            if name in WHOLE:
                assert code is grpc.StatusCode.PERMISSION_DENIED, (name, detail)
            elif name in ABOUT_SEVEN:
                assert code is grpc.StatusCode.NOT_FOUND, (name, code, detail)
                assert "pipe_45" not in detail
            else:
                assert code in WELL, (name, code, detail)
        after = await whole(whole.plans.GetPlan, plans_pb2.GetPlanRequest(plan_id=things.plan))
        assert after.state == "open"
        kept = {plan.id for plan in before.plans}
        assert kept <= {plan.id for plan in (await whole(whole.plans.ListPlans, plans_pb2.ListPlansRequest())).plans}


async def test_lists_have_ones_own_only(served: Served, things: Things) -> None:
    async with connected(served, "viewer", "7") as own, connected(served, "viewer", "8") as other:
        assert things.run in {
            one.id
            for one in (await own(own.executions.ListExecutions, executions_pb2.ListExecutionsRequest())).executions
        }
        for method, request, field in (
            (other.executions.ListExecutions, executions_pb2.ListExecutionsRequest(), "executions"),
            (other.plans.ListPlans, plans_pb2.ListPlansRequest(), "plans"),
            (other.plans.ListBackfills, plans_pb2.ListBackfillsRequest(), "backfills"),
            (other.control.ListRuns, control_pb2.ListRunsRequest(pipeline="ads"), "runs"),
            (other.control.ListUnits, control_pb2.ListUnitsRequest(pipeline="ads"), "units"),
        ):
            assert list(getattr(await other(method, request), field)) == [], field
        quality = await other(other.executions.GetDataQuality, executions_pb2.GetDataQualityRequest())
        assert quality.quality_metrics.last_24h.total_records == 0
        assert not quality.by_pipeline
        names = [
            one.name for one in (await other(other.plans.ListPipelines, plans_pb2.ListPipelinesRequest())).pipelines
        ]
        assert names == ["ads"]  # housekeeping is of no organization
        refused = await other.refused(other.control.ListRuns, control_pb2.ListRunsRequest(pipeline="housekeeping"))
        assert refused.code() is grpc.StatusCode.NOT_FOUND
