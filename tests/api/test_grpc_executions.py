"""Executions by gRPC: the field names and types of the first API, and the same values as REST gives."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from penstock.api.grpc.v1 import executions_pb2 as pb
from tests.api.conftest import Served, until
from tests.api.grpc_caller import Caller, connected
from tests.api.test_first_api import EXECUTIONS, LOGS, QUALITY, TRIGGER, TRIGGERED


def struct_of(**fields: Any) -> Struct:
    found = Struct()
    found.update(fields)
    return found


def shown(message: Any) -> Any:
    """As JSON with the names of the .proto file."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def kind_of(value: object) -> type[object]:
    return type(value)


def has(found: Any, wanted: Any, place: str = "$") -> None:
    """Every key of the first API is there, with its type; whole numbers of 64 bits are text in protobuf's JSON."""
    kind = kind_of(wanted)
    if kind is dict:
        assert isinstance(found, dict), place
        for key, value in wanted.items():
            assert key in found, f"{place}.{key}"
            has(found[key], value, f"{place}.{key}")
    elif kind is list:
        assert kind_of(found) is list, place
        assert found, place
        for number, item in enumerate(found):
            has(item, wanted[0], f"{place}[{number}]")
    elif kind is int:
        assert int(found) >= 0, place
    else:
        assert isinstance(found, kind), (place, found)


async def triggered(caller: Caller, **parameters: Any) -> str:
    """An execution of pipe_456 that is over."""
    asked = pb.TriggerRequest(pipeline_id="pipe_456", parameters=pb.TriggerParameters(**parameters))
    answer = await caller(caller.executions.Trigger, asked)

    async def over() -> bool:
        found = await caller(caller.executions.GetExecution, pb.GetExecutionRequest(execution_id=answer.execution_id))
        return found.status in ("completed", "failed")

    await until(over, "over")
    return str(answer.execution_id)


async def logged(caller: Caller, execution: str) -> Any:
    """Its log: each unit says two things in bronze and one in silver. Lines come a moment after the end."""

    async def said() -> Any:
        asked = pb.GetExecutionLogsRequest(execution_id=execution)
        found = await caller(caller.executions.GetExecutionLogs, asked)
        return len(found.logs) == 12 and found

    return await until(said, "logged")


async def test_the_first_api_with_its_names(served: Served) -> None:
    async with connected(served, "operator") as caller:
        asked: Any = TRIGGER
        days = asked["parameters"]["date_range"]
        answer = await caller(
            caller.executions.Trigger,
            pb.TriggerRequest(
                pipeline_id="pipe_456", parameters=pb.TriggerParameters(date_range=pb.DateRange(**days), force=False)
            ),
        )
        has(shown(answer), TRIGGERED)
        execution = await triggered(caller)
        assert execution

        asked = pb.ListExecutionsRequest(pipeline_id="pipe_456", status="completed")
        found = await caller(caller.executions.ListExecutions, asked)
        first = found.executions[-1]
        assert first.id == answer.execution_id
        has(shown(first)["layers"]["bronze"], EXECUTIONS["executions"][0]["layers"]["bronze"])  # type: ignore[index]
        has(shown(first), EXECUTIONS["executions"][0])
        assert first.layers["bronze"].records == 4000
        assert first.layers["silver"].records_filtered == 48
        assert list(first.layers["gold"].tables_updated) == ["campaign_daily", "pacing_metrics"]
        assert not first.layers["gold"].HasField("records")

        logs = await logged(caller, answer.execution_id)
        has(shown(logs), LOGS)
        quality = await caller(caller.executions.GetDataQuality, pb.GetDataQualityRequest())
        has(shown(quality), QUALITY)


async def test_rest_and_grpc_say_the_same(served: Served) -> None:
    rest = await served.caller("operator")
    async with connected(served, "operator") as caller:
        execution = await triggered(caller)
        await triggered(caller, params=struct_of(fail=True), force=True)

        said = (await rest.get("/api/v1/etl/executions")).json()["executions"]
        told = (await caller(caller.executions.ListExecutions, pb.ListExecutionsRequest())).executions
        assert [one["id"] for one in said] == [one.id for one in told]
        assert {one["status"] for one in said} == {"completed", "failed"}
        for one, other in zip(said, told, strict=True):
            same(one, shown(other))
        logs = await logged(caller, execution)
        lines = (await rest.get(f"/api/v1/etl/executions/{execution}/logs")).json()["logs"]
        assert len(lines) == len(logs.logs)
        for one, other in zip(lines, logs.logs, strict=True):
            same(one, shown(other))
        quality = (await rest.get("/api/v1/etl/data-quality")).json()
        same(quality, shown(await caller(caller.executions.GetDataQuality, pb.GetDataQualityRequest())))


def same(said: Any, told: Any, place: str = "$") -> None:
    """What REST says is in what gRPC tells; what is null there is absent or empty here."""
    kind = kind_of(said)
    if kind is dict:
        for key, value in said.items():
            same(value, told.get(key), f"{place}.{key}")
    elif kind is list:
        assert len(said) == len(told), place
        for number, value in enumerate(said):
            same(value, told[number], f"{place}[{number}]")
    elif said is None:
        assert told in (None, "", 0), place
    elif kind is int:
        assert said == int(told), place
    elif place.endswith(("_at", "_start", "timestamp")):
        assert said.removesuffix("Z") == told[: len("2024-12-23T06:00:00")], place
    else:
        assert said == told, place


async def test_pages_have_everything_once(served: Served) -> None:
    async with connected(served, "operator") as caller:
        for _ in range(5):
            await triggered(caller, force=True)
        whole = (await caller(caller.executions.ListExecutions, pb.ListExecutionsRequest())).executions
        assert len(whole) == 5
        found: list[str] = []
        token = ""
        for size in (2, 2, 2):
            page = await caller(
                caller.executions.ListExecutions, pb.ListExecutionsRequest(page_size=size, page_token=token)
            )
            found += [one.id for one in page.executions]
            token = page.next_page_token
        assert found == [one.id for one in whole]
        assert token == ""


UNFIT: Any = [
    (pb.ListExecutionsRequest(page_size=501), "page_size"),
    (pb.ListExecutionsRequest(page_size=-1), "page_size"),
    (pb.ListExecutionsRequest(page_token="x"), "page_token"),
    (pb.ListExecutionsRequest(page_token="Z2FwcyAx"), "page_token"),
    (pb.ListExecutionsRequest(status="complete"), "did you mean completed"),
    (pb.ListExecutionsRequest(date_from="20241220"), "date_from"),
    (pb.ListExecutionsRequest(date_from="2024-13-01"), "date_from"),
    (pb.ListExecutionsRequest(date_from="2024-12-24", date_to="2024-12-20"), "after date_to"),
    (pb.ListExecutionsRequest(pipeline_id=""), "pipeline_id"),
    (pb.ListExecutionsRequest(pipeline_id="a\0b"), "NUL"),
    (pb.GetExecutionRequest(execution_id="exec_123"), "execution_id"),
    (pb.GetExecutionRequest(execution_id="99999999999999999999"), "execution_id"),
    (pb.GetExecutionRequest(), "execution_id"),
    (pb.GetExecutionLogsRequest(execution_id="0"), "execution_id"),
    (pb.TriggerRequest(), "pipeline_id"),
    (
        pb.TriggerRequest(
            pipeline_id="pipe_456", parameters=pb.TriggerParameters(date_range=pb.DateRange(start="2024-12-20"))
        ),
        "date_range",
    ),
    (
        pb.TriggerRequest(
            pipeline_id="pipe_456", parameters=pb.TriggerParameters(params=struct_of(fail={"deep": [1]}))
        ),
        "fail",
    ),
    (
        pb.TriggerRequest(
            pipeline_id="pipe_456", parameters=pb.TriggerParameters(params=struct_of(advertiser=float("nan")))
        ),
        "params.advertiser",
    ),
]


async def test_what_does_not_fit_is_named(served: Served) -> None:
    async with connected(served, "operator") as caller:
        for request, word in UNFIT:
            name = type(request).__name__.removesuffix("Request")
            refused = await caller.refused(getattr(caller.executions, name), request)
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT, (request, refused.details())
            assert word in (refused.details() or ""), refused.details()


async def test_what_is_not_there_is_not_found(served: Served) -> None:
    async with connected(served, "operator") as caller:
        for execution in (str(uuid4()), "4711"):
            for method, kind in (
                (caller.executions.GetExecution, pb.GetExecutionRequest),
                (caller.executions.GetExecutionLogs, pb.GetExecutionLogsRequest),
            ):
                refused = await caller.refused(method, kind(execution_id=execution))
                assert refused.code() is grpc.StatusCode.NOT_FOUND
        refused = await caller.refused(caller.executions.Trigger, pb.TriggerRequest(pipeline_id="nothing"))
        assert refused.code() is grpc.StatusCode.NOT_FOUND
