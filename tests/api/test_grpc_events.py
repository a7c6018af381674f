"""The stream of events by gRPC: in order, resumed after a place, narrowed, and ended when it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from penstock.api.grpc import serving as grpc_serving
from penstock.api.grpc.v1 import events_pb2 as pb
from penstock.api.grpc.v1.executions_pb2 import GetExecutionRequest, TriggerParameters, TriggerRequest
from penstock.model.cloud_events import PUBLISHED
from tests.api.conftest import Serve, Served, until
from tests.api.grpc_caller import DEADLINE, Caller, connected
from tests.docs.pages import page as how_to

UNIT_OF_WORK = ["execution.started", "layer.completed", "layer.completed", "layer.completed", "execution.completed"]


async def done(caller: Caller, feed: str = "pipe_456", **parameters: Any) -> str:
    """An execution that is over."""
    asked = TriggerRequest(pipeline_id=feed, parameters=TriggerParameters(**parameters))
    execution = (await caller(caller.executions.Trigger, asked)).execution_id

    async def over() -> bool:
        found = await caller(caller.executions.GetExecution, GetExecutionRequest(execution_id=execution))
        return found.status in ("completed", "failed")

    await until(over, "over")
    return str(execution)


@asynccontextmanager
async def watching(caller: Caller, **asked: Any) -> AsyncGenerator[Any]:
    call = caller.events.WatchEvents(pb.WatchEventsRequest(**asked), metadata=caller.metadata)
    try:
        yield call
    finally:
        call.cancel()


async def next_of(call: Any) -> pb.Event:
    async with asyncio.timeout(DEADLINE):
        event = await call.read()
    assert isinstance(event, pb.Event)
    return event


async def until_completed(call: Any, execution: str) -> list[pb.Event]:
    """Events of this execution up to its end."""
    found: list[pb.Event] = []
    while not found or found[-1].type not in ("execution.completed", "execution.failed"):
        event = await next_of(call)
        if event.subject == execution:
            found.append(event)
    return found


async def test_events_come_in_order_and_go_on_after_a_place(served: Served) -> None:
    async with connected(served, "operator") as caller:
        first = await done(caller)
        async with watching(caller, after=0) as call:
            told = await until_completed(call, first)
            kinds = [event.type for event in told if event.type != "quality.issue_detected"]
            assert kinds == UNIT_OF_WORK
            assert [event.layer for event in told if event.type == "layer.completed"] == ["bronze", "silver", "gold"]
            assert [event.position for event in told] == sorted({event.position for event in told})
            assert len({event.id for event in told}) == len(told)
            assert {event.source for event in told} == {"/penstock/medallion"}
            assert {event.pipeline for event in told} == {"ads"}
            assert told[-1].data["state"] == "completed"
            assert told[0].time.seconds > 0

        place = told[1].position  # the caller was cut off here
        second = await done(caller, force=True)
        async with watching(caller, after=place) as call:
            rest = await until_completed(call, first)
            assert [event.id for event in rest] == [event.id for event in told[2:]]
            assert len(await until_completed(call, second)) >= len(UNIT_OF_WORK)


async def test_without_a_place_it_begins_now(served: Served) -> None:
    async with connected(served, "operator") as caller:
        before = await done(caller)
        async with watching(caller) as call:
            begun = dict(await call.initial_metadata())
            assert int(begun["penstock-position"]) > 0
            after = await done(caller, force=True)
            event = await next_of(call)
            assert event.subject == after != before
            assert event.position > int(begun["penstock-position"])


async def test_it_is_narrowed_to_types_and_an_execution(served: Served) -> None:
    async with connected(served, "operator") as caller:
        one, other = await done(caller), await done(caller, feed="pipe_457")
        async with watching(caller, after=0, types=["execution.completed"]) as call:
            assert [(await next_of(call)).subject for _ in range(2)] == [one, other]
        async with watching(caller, after=0, execution_id=other) as call:
            told = await until_completed(call, other)
            assert {event.subject for event in told} == {other}
            assert len(told) >= len(UNIT_OF_WORK)
        for asked, word in (
            ({"types": ["execution.complete"]}, "did you mean execution.completed"),
            ({"after": -1}, "after"),
            ({"execution_id": "x"}, "execution_id"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async with watching(caller, **asked) as call:
                    await next_of(call)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert word in (caught.value.details() or "")


async def test_an_organization_hears_of_itself_alone(served: Served) -> None:
    async with connected(served, "operator") as caller, connected(served, "viewer", "8") as eight:
        await done(caller)
        own = await done(caller, feed="pipe_900")
        async with watching(eight, after=0) as call:
            event = await next_of(call)
            assert event.subject == own
            assert {event.subject for event in await until_completed(call, own)} == {own}


async def test_a_revoked_token_ends_its_stream(served: Served) -> None:
    async with (
        grpc_serving.serving(served.gateway, look=0.1) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        made = await served.gateway.tokens.create("leaver", "viewer")
        caller = Caller(channel, made.secret)
        async with watching(caller, after=0) as call:
            await call.initial_metadata()
            await served.gateway.tokens.revoke("leaver")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await next_of(call)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert served.gateway.streams == 0


async def test_a_stopping_service_sends_streams_elsewhere(served: Served) -> None:
    async with connected(served, "viewer") as caller, watching(caller) as call:
        await call.initial_metadata()
        served.gateway.stopping.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await next_of(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"


async def test_streams_are_bounded_and_let_go(served: Served) -> None:
    async with connected(served, "viewer") as caller:
        async with watching(caller) as call:
            await call.initial_metadata()
            assert served.gateway.streams == 1
        await until(lambda: served.gateway.streams == 0, "let go")
        served.gateway.streams = 200
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with watching(caller) as call:
                await next_of(call)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert dict(caught.value.trailing_metadata())["retry-after"] == "30"


async def test_what_another_replica_does_is_told_here(serve: Serve) -> None:
    one, other = await serve(), await serve()
    async with (
        connected(one, "operator") as caller,
        connected(other, "viewer", "7") as watcher,
        watching(watcher) as call,
    ):
        await call.initial_metadata()
        execution = await done(caller)
        assert (await next_of(call)).subject == execution


async def test_the_python_of_the_how_to_page(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    page: dict[str, Any] = {}
    exec(compile("\n".join(how_to("docs/how-to/grpc.md").blocks("python")), "grpc.md", "exec"), page)
    assert served.gateway.grpc is not None
    token = await served.token("operator")
    execution = await page["trigger"](served.gateway.grpc, token)
    assert await page["trigger"](served.gateway.grpc, token) == execution
    async with grpc.aio.insecure_channel(served.gateway.grpc) as channel:
        following = asyncio.create_task(page["follow"](channel, [("authorization", f"Bearer {token}")], 0))
        out: list[str] = []

        def told() -> bool:
            out.append(capsys.readouterr().out)
            return f"execution.completed {execution} ads" in "".join(out)

        await until(told, "followed")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_the_protocol_names_the_types_that_there_are() -> None:
    text = (Path(pb.__file__).parent / "events.proto").read_text()
    assert [kind for kind in PUBLISHED if kind not in text] == []
