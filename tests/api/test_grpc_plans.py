"""Plans, backfills, runs, units and tokens by gRPC: each method does what its operation does."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import grpc
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from penstock.api.grpc.v1 import administration_pb2 as adm
from penstock.api.grpc.v1 import control_pb2 as ctl
from penstock.api.grpc.v1 import executions_pb2 as exe
from penstock.api.grpc.v1 import plans_pb2 as pb
from tests.api.conftest import Served, until
from tests.api.grpc_caller import Caller, connected

DAYS = ["2024-12-20", "2024-12-21", "2024-12-22", "2024-12-23"]


def struct_of(**fields: Any) -> Struct:
    found = Struct()
    found.update(fields)
    return found


def plain(message: Struct) -> dict[str, Any]:
    return dict(message)


async def over(caller: Caller, run: str) -> ctl.Run:
    """The run, once it is over."""

    async def ended() -> Any:
        found = await caller(caller.control.GetRun, ctl.GetRunRequest(run_id=run))
        return found.state not in ("scheduled", "running", "waiting") and found

    found = await until(ended, "over")
    assert isinstance(found, ctl.Run)
    return found


async def test_plan_look_apply(served: Served) -> None:
    async with connected(served, "operator") as caller:
        where = struct_of(feed_id="pipe_456", org_id=7)
        plan = await caller(caller.plans.Plan, pb.PlanRequest(pipeline="ads", where=where, start=DAYS[0], end=DAYS[2]))
        assert (plan.state, plan.gaps, plan.admitted, plan.lanes) == ("open", 3, 3, 1)
        assert dict(plan.counts) == {"missing": 3}
        assert not plan.HasField("seconds")
        gaps = await caller(caller.plans.ListGaps, pb.ListGapsRequest(plan_id=plan.id, page_size=2))
        assert [gap.unit["day"] for gap in gaps.gaps] == DAYS[:2]
        assert plain(gaps.gaps[0].unit) == {"org_id": 7, "feed_id": "pipe_456", "name": "DV360 Daily", "day": DAYS[0]}
        assert gaps.gaps[0].reason == "missing"
        rest = await caller(
            caller.plans.ListGaps, pb.ListGapsRequest(plan_id=plan.id, page_size=2, page_token=gaps.next_page_token)
        )
        assert [gap.unit["day"] for gap in rest.gaps] == DAYS[2:3]
        assert not rest.next_page_token

        applied = await caller(caller.plans.ApplyPlan, pb.ApplyPlanRequest(plan_id=plan.id, parallel=2))
        again = await caller(caller.plans.ApplyPlan, pb.ApplyPlanRequest(plan_id=str(plan.number)))
        assert applied.state == again.state == "applied"
        assert applied.id == again.id == plan.id
        runs = await caller(caller.control.ListRuns, ctl.ListRunsRequest(pipeline="ads", plan_id=plan.id))
        assert len(runs.runs) == 1
        run = await over(caller, runs.runs[0].id)
        assert run.state == "completed"
        assert run.plan_id == plan.id
        assert [unit["day"] for unit in run.units] == DAYS[:3]
        assert [step.step for step in run.steps] == ["bronze", "silver", "gold"]
        assert not any(step.HasField("output") for step in run.steps)  # they are called per unit, which has its own
        assert {step.state for step in run.steps} == {"completed"}

        listed = await caller(caller.plans.ListPlans, pb.ListPlansRequest(pipeline="ads"))
        assert [one.id for one in listed.plans] == [plan.id]
        assert dict(listed.plans[0].runs) == {"completed": 1}
        assert listed.plans[0].parallel == 2
        assert (await caller(caller.plans.GetPlan, pb.GetPlanRequest(plan_id=plan.id))).state == "applied"
        refused = await caller.refused(caller.plans.DiscardPlan, pb.DiscardPlanRequest(plan_id=plan.id))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_plan_of_named_units_is_put_away(served: Served) -> None:
    async with connected(served, "operator") as caller:
        unit = struct_of(org_id=8, feed_id="pipe_900", name="Others Daily", day=DAYS[1])
        plan = await caller(caller.plans.Plan, pb.PlanRequest(pipeline="ads", units=[unit], force=True))
        assert (plan.gaps, plan.forced) == (1, True)
        await caller(caller.plans.DiscardPlan, pb.DiscardPlanRequest(plan_id=plan.id))
        refused = await caller.refused(caller.plans.ApplyPlan, pb.ApplyPlanRequest(plan_id=plan.id))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        for request, word in (
            (pb.PlanRequest(pipeline="ads", units=[struct_of(feed="x")]), "units.0: there is no field 'feed'"),
            (pb.PlanRequest(pipeline="ads", units=[struct_of(feed_id="x")]), "org_id"),
            (pb.PlanRequest(pipeline="ads", units=[unit] * 1_001), "at most 1,000"),
            (pb.PlanRequest(pipeline="ads", where=struct_of(feedid="x")), "did you mean feed_id"),
            (pb.PlanRequest(pipeline="ads", where=struct_of(feed_id=None)), "where.feed_id"),
            (pb.PlanRequest(pipeline="ads", where=struct_of(day="never")), "day"),
            (pb.PlanRequest(pipeline="ads", where=struct_of(org_id=2.0**60)), "beyond 2^53"),
            (pb.PlanRequest(pipeline="ads", start="2024-12-24", end="2024-12-20"), "2024-12-24"),
            (pb.PlanRequest(pipeline="ads", start="1066-10-14"), "start"),
            (pb.PlanRequest(pipeline="ads", params=struct_of(unheard="of", fail="perhaps")), "fail"),
            (pb.PlanRequest(), "pipeline"),
            (pb.PlanRequest(pipeline="x" * 201), "pipeline"),
        ):
            refused = await caller.refused(caller.plans.Plan, request)
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT, (request, refused.details())
            assert word in (refused.details() or ""), refused.details()
        refused = await caller.refused(caller.plans.Plan, pb.PlanRequest(pipeline="adds"))
        assert refused.code() is grpc.StatusCode.NOT_FOUND


async def test_a_backfill_with_pause_resume_and_progress(served: Served) -> None:
    async with connected(served, "operator", "7") as caller:
        asked = pb.StartBackfillRequest(
            pipeline="ads", start=DAYS[0], end=DAYS[3], parallel=1, params=struct_of(hold=True)
        )
        made = await caller(caller.plans.StartBackfill, asked)
        assert (made.total, made.done, made.parallel, made.pipeline) == (2, 0, 1, "ads")
        await caller(caller.control.Pause, ctl.PauseRequest(plan_id=made.id))
        shown = await caller(caller.plans.GetBackfill, pb.GetBackfillRequest(backfill_id=made.id))
        assert shown.state == "paused"
        await caller(caller.control.Resume, ctl.ResumeRequest(plan_id=made.id))
        shown = await caller(caller.plans.GetBackfill, pb.GetBackfillRequest(backfill_id=str(made.number)))
        assert shown.state == "running"
        states = await caller(caller.control.Cancel, ctl.CancelRequest(plan_id=made.id))
        assert len(states.runs) == 2

        async def ended() -> Any:
            found = await caller(caller.plans.GetBackfill, pb.GetBackfillRequest(backfill_id=made.id))
            return found.done == found.total and found

        assert (await until(ended, "ended")).state == "cancelled"
        listed = await caller(caller.plans.ListBackfills, pb.ListBackfillsRequest(pipeline="ads"))
        assert [one.id for one in listed.backfills] == [made.id]
        for request, word in (
            (pb.StartBackfillRequest(pipeline="ads", start=DAYS[1], end=DAYS[0]), "after end"),
            (pb.StartBackfillRequest(pipeline="ads", start=DAYS[1]), "end"),
            (pb.StartBackfillRequest(pipeline="ads", start=DAYS[0], end=DAYS[0], parallel=0), "parallel"),
        ):
            refused = await caller.refused(caller.plans.StartBackfill, request)
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert word in (refused.details() or "")


async def test_cancel_then_retry_then_why(served: Served) -> None:
    async with connected(served, "operator") as caller:
        params = exe.TriggerParameters(params=struct_of(fail=True))
        run = (
            await caller(caller.executions.Trigger, exe.TriggerRequest(pipeline_id="pipe_457", parameters=params))
        ).execution_id
        failed = await over(caller, run)
        assert (failed.state, failed.failed_step) == ("failed", "bronze")
        assert failed.error_class
        assert "no CSV" in failed.error
        plan = await caller(caller.control.Retry, ctl.RetryRequest(run_id=run))
        assert plan.state == "applied"
        retried = (await caller(caller.control.ListRuns, ctl.ListRunsRequest(pipeline="ads", plan_id=plan.id))).runs[0]
        assert (await over(caller, retried.id)).state in ("completed", "failed")
        refused = await caller.refused(caller.control.Cancel, ctl.CancelRequest())
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        refused = await caller.refused(caller.control.Cancel, ctl.CancelRequest(run_id=str(uuid4())))
        assert refused.code() is grpc.StatusCode.NOT_FOUND

        units = await caller(caller.control.ListUnits, ctl.ListUnitsRequest(pipeline="ads", page_size=3))
        assert len(units.units) == 3
        assert units.units[0].key["feed_id"] == "pipe_457"
        more = ctl.ListUnitsRequest(pipeline="ads", page_size=3, page_token=units.next_page_token)
        assert len((await caller(caller.control.ListUnits, more)).units) == 1
        none = ctl.ListUnitsRequest(pipeline="ads", verdict="no_data")
        assert not (await caller(caller.control.ListUnits, none)).units
        key = struct_of(feed_id="pipe_457", day=DAYS[0])
        why = await caller(caller.control.Why, ctl.WhyRequest(pipeline="ads", key=key))
        assert "pipe_457" in why.sentence
        assert str(UUID(why.row["last_run"])) == why.row["last_run"]
        refused = await caller.refused(caller.control.Why, ctl.WhyRequest(pipeline="ads", key=struct_of(day=DAYS[0])))
        assert "feed_id, day" in (refused.details() or "")

        future = Timestamp(seconds=4_000_000_000)
        none_since = ctl.ListRunsRequest(pipeline="ads", since=future)
        assert not (await caller(caller.control.ListRuns, none_since)).runs
        wrong = ctl.ListRunsRequest(pipeline="ads", since=Timestamp(seconds=10**15))
        refused = await caller.refused(caller.control.ListRuns, wrong)
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        only = await caller(caller.control.ListRuns, ctl.ListRunsRequest(pipeline="ads", state="failed"))
        assert run in {one.id for one in only.runs}


async def test_pipelines_schedules_quotas_and_a_pause_of_all(served: Served) -> None:
    async with connected(served, "operator") as caller, connected(served, "operator", "7") as seven:
        pipelines = await caller(caller.plans.ListPipelines, pb.ListPipelinesRequest())
        assert [one.name for one in pipelines.pipelines] == ["ads", "housekeeping"]
        ads = pipelines.pipelines[0]
        assert list(ads.steps) == ["bronze", "silver", "gold"]
        assert (ads.lane, ads.org, ads.date, ads.schedule, ads.batch) == ("feed_id", "org_id", "day", "0 6 1 1 *", 10)
        assert not pipelines.pipelines[1].HasField("org")
        schedules = await caller(caller.plans.ListSchedules, pb.ListSchedulesRequest())
        assert [(one.pipeline, one.cron) for one in schedules.schedules] == [("ads", "0 6 1 1 *")]
        assert schedules.schedules[0].next_at.seconds > 0
        assert not schedules.schedules[0].HasField("last_at")
        assert not (await caller(caller.control.ListQuotas, ctl.ListQuotasRequest())).quotas

        await caller(caller.plans.Plan, pb.PlanRequest(pipeline="ads"))  # the ledger knows it from here on
        refused = await seven.refused(seven.control.Pause, ctl.PauseRequest(pipeline="ads"))
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
        await caller(caller.control.Pause, ctl.PauseRequest(pipeline="ads"))
        await caller(caller.control.Resume, ctl.ResumeRequest(pipeline="ads"))
        refused = await caller.refused(caller.control.Pause, ctl.PauseRequest())
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_overrides_and_tokens(served: Served) -> None:
    async with connected(served, "admin") as caller:
        desk = caller.administration
        set_to = adm.SetOverrideRequest(name="retry.attempts", value="5", note="the source is slow", pipeline="ads")
        row = await caller(desk.SetOverride, set_to)
        assert (row.name, row.value, row.pipeline) == ("retry.attempts", "5", "ads")
        listed = await caller(desk.ListOverrides, adm.ListOverridesRequest())
        assert [(one.name, one.changed_by) for one in listed.overrides] == [("retry.attempts", "token admin-all")]
        await caller(desk.UnsetOverride, adm.UnsetOverrideRequest(name="retry.attempts", pipeline="ads"))
        assert not (await caller(desk.ListOverrides, adm.ListOverridesRequest())).overrides
        refused = await caller.refused(desk.SetOverride, adm.SetOverrideRequest(name="retry.attempt", value="5"))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "retry.attempts" in (refused.details() or "")

        made = await caller(desk.CreateToken, adm.CreateTokenRequest(name="grafana", role="viewer", org="7", days=30))
        assert made.secret.startswith("pst_")
        assert (made.token.role, made.token.org) == ("viewer", "7")
        assert made.token.expires_at.seconds > made.token.created_at.seconds
        names = {one.name for one in (await caller(desk.ListTokens, adm.ListTokensRequest())).tokens}
        assert names == {"admin-all", "grafana"}
        refused = await caller.refused(desk.CreateToken, adm.CreateTokenRequest(name="grafana", role="viewer"))
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
        refused = await caller.refused(desk.CreateToken, adm.CreateTokenRequest(name="x", role="root"))
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
        await caller(desk.RevokeToken, adm.RevokeTokenRequest(name="grafana"))
        refused = await caller.refused(desk.RevokeToken, adm.RevokeTokenRequest(name="grafana"))
        assert refused.code() is grpc.StatusCode.NOT_FOUND
    async with connected(served, "admin", "7") as seven:
        refused = await seven.refused(
            seven.administration.CreateToken, adm.CreateTokenRequest(name="spy", role="viewer", org="8")
        )
        assert refused.code() is grpc.StatusCode.PERMISSION_DENIED
