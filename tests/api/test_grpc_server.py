"""The gRPC server itself: health, reflection, limits, repeated calls, what cannot be read, TLS, and its end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from penstock.api.grpc.serving import grpc_server, services, serving
from penstock.api.grpc.v1 import administration_pb2 as adm
from penstock.api.grpc.v1 import control_pb2 as ctl
from penstock.api.grpc.v1 import executions_pb2 as exe
from penstock.api.grpc.v1 import plans_pb2 as pb
from penstock.model.errors import LedgerUnavailable, NotDelivered, SettingError
from tests.api.conftest import Serve, Served, until
from tests.api.grpc_caller import Caller, connected

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def trailing(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    return dict(error.trailing_metadata())


async def test_health_needs_no_token_and_says_what_readyz_says(served: Served) -> None:
    async with connected(served, None) as nobody:
        health: Any = health_pb2_grpc.HealthStub(nobody.channel)
        for name in ("", *(service.full_name for service in services().values())):
            asked = health_pb2.HealthCheckRequest(service=name)

            async def ready(asked: Any = asked) -> bool:  # once it has its lease
                return bool((await health.Check(asked)).status == SERVING)

            await until(ready, name)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(health_pb2.HealthCheckRequest(service="nothing"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        served.gateway.stopping.set()
        async with asyncio.timeout(20):
            assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_reflection_shows_the_protocol_to_those_with_a_token(served: Served) -> None:
    def look(address: str, metadata: Any) -> tuple[set[str], dict[str, list[str]]]:
        """By gRPC's own client of reflection, which is not async."""
        with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            database: Any = ProtoReflectionDescriptorDatabase(channel)
            inner = database._stub.ServerReflectionInfo
            database._stub.ServerReflectionInfo = partial(inner, metadata=metadata)
            names = set(database.get_services())
            found: dict[str, list[str]] = {}
            for name in names:
                file: FileDescriptorProto = database.FindFileContainingSymbol(name)
                found[name] = [m.name for one in file.service for m in one.method if name.endswith(f".{one.name}")]
            return names, found

    assert served.gateway.grpc is not None
    secret = await served.token("viewer", "7")
    names, methods = await asyncio.to_thread(look, served.gateway.grpc, (("authorization", f"Bearer {secret}"),))
    own = {service.full_name: [method.name for method in service.methods] for service in services().values()}
    assert names == {*own, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert {name: methods[name] for name in own} == own

    async with connected(served, None) as nobody:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub
        reflection = stub(nobody.channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        for metadata in ((), (("authorization", "Bearer pst_" + "x" * 46),), (("authorization", "Basic eDp5"),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await reflection.ServerReflectionInfo(iter(asked), metadata=metadata).read()
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def raw(caller: Caller, path: str) -> Any:
    """A method that takes and gives bytes."""
    channel: Any = caller.channel
    return channel.unary_unary(path)


async def test_what_cannot_be_read_is_the_callers_fault(served: Served) -> None:
    async with connected(served, "operator") as caller:
        for service in services().values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                call = raw(caller, path)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(b"\xff\xff\xff", metadata=caller.metadata, timeout=20)
                wanted = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}
                assert caught.value.code() in wanted, (path, caught.value.details())
        deep = b"\x0a\x02\x08\x01"
        for _ in range(200):  # a value in a list in a value, and so on
            deep = (
                b"\x32" + _varint(len(deep) + 2) + b"\x0a" + _varint(len(deep)) + deep if len(deep) < 16_000 else deep
            )
        where = b"\x12" + _varint(len(deep)) + deep
        call = raw(caller, "/penstock.v1.Plans/Plan")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\x0a\x03ads" + where, metadata=caller.metadata, timeout=20)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        unknown = raw(caller, "/penstock.v1.Plans/Forget")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await unknown(b"", metadata=caller.metadata, timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def _varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


async def test_a_message_has_a_largest_size(serve: Serve) -> None:
    served: Served = await serve(http_body=2_048)
    async with connected(served, "operator") as caller:
        refused = await caller.refused(caller.executions.Trigger, exe.TriggerRequest(pipeline_id="x" * 3_000))
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        refused = await caller.refused(caller.executions.Trigger, exe.TriggerRequest(pipeline_id="x" * 1_000))
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_token_asks_so_often_by_both_faces_together(serve: Serve) -> None:
    served: Served = await serve(http_rate=4)
    rest = await served.caller("viewer")
    async with connected(served, "viewer") as caller, connected(served, "operator") as other:
        for _ in range(2):
            await caller(caller.plans.ListPipelines, pb.ListPipelinesRequest())
            assert (await rest.get("/api/v1/pipelines")).status_code == 200
        refused = await caller.refused(caller.plans.ListPipelines, pb.ListPipelinesRequest())
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert trailing(refused)["retry-after"] == "15"
        assert trailing(refused)["grpc-retry-pushback-ms"] == "15000"
        assert (await rest.get("/api/v1/pipelines")).status_code == 429
        await other(other.plans.ListPipelines, pb.ListPipelinesRequest())


async def test_the_same_call_with_the_same_key_is_done_once(served: Served) -> None:
    async with connected(served, "operator") as caller, connected(served, "admin") as admin:
        key, asked = str(uuid4()), pb.PlanRequest(pipeline="ads")
        first = await caller(caller.plans.Plan, asked, idempotency_key=key)
        again = await caller(caller.plans.Plan, asked, idempotency_key=key)
        assert again == first
        assert (await caller(caller.plans.Plan, asked)).id != first.id
        assert (await admin(admin.plans.Plan, asked, idempotency_key=key)).id != first.id  # keys are a token's own
        for method, request in (
            (caller.plans.Plan, pb.PlanRequest(pipeline="housekeeping")),
            (caller.control.Pause, ctl.PauseRequest(plan_id=first.id)),
        ):
            refused = await caller.refused(method, request, idempotency_key=key)
            assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "another request" in (refused.details() or "")
        reading = await caller(caller.plans.ListPlans, pb.ListPlansRequest(), idempotency_key=key)
        assert len(reading.plans) == 3

        trigger = exe.TriggerRequest(pipeline_id="pipe_456", parameters=exe.TriggerParameters(force=True))
        answers = [await caller(caller.executions.Trigger, trigger, idempotency_key="once") for _ in range(3)]
        assert {one.execution_id for one in answers} == {answers[0].execution_id}
        backfill = pb.StartBackfillRequest(pipeline="ads", force=True, start="2024-12-20", end="2024-12-23")
        made = [await caller(caller.plans.StartBackfill, backfill, idempotency_key="fill") for _ in range(2)]
        assert made[0].id == made[1].id

        failed = pb.GetPlanRequest(plan_id=str(uuid4()))
        wrong = ctl.RetryRequest(run_id=failed.plan_id)
        for _ in range(2):  # what failed is asked anew, and not answered from memory
            refused = await caller.refused(caller.control.Retry, wrong, idempotency_key="failed")
            assert refused.code() is grpc.StatusCode.NOT_FOUND
        assert (await caller(caller.plans.Plan, asked, idempotency_key="failed")).id
        refused = await caller.refused(caller.plans.Plan, asked, idempotency_key="x" * 201)
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT

        token = adm.CreateTokenRequest(name="secret", role="viewer")
        await admin(admin.administration.CreateToken, token, idempotency_key="token")
        refused = await admin.refused(admin.administration.CreateToken, token, idempotency_key="token")
        assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION  # the answer was not kept: there is a secret in it


async def test_a_call_that_is_being_worked_on_is_not_begun_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    plan = served.gateway.whole.client.plan

    async def slow(*given: Any, **more: Any) -> Any:
        begun.set()
        await go.wait()
        return await plan(*given, **more)

    monkeypatch.setattr(served.gateway.whole.client, "plan", slow)
    async with connected(served, "operator") as caller:
        asked = pb.PlanRequest(pipeline="ads")
        first = asyncio.create_task(caller(caller.plans.Plan, asked, idempotency_key="k"))
        await begun.wait()
        refused = await caller.refused(caller.plans.Plan, asked, idempotency_key="k")
        assert refused.code() is grpc.StatusCode.ABORTED
        assert trailing(refused)["retry-after"] == "1"
        go.set()
        found = await first
        assert await caller(caller.plans.Plan, asked, idempotency_key="k") == found


async def test_a_fault_of_ours_shows_no_traceback(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faults: list[Exception] = [
        ZeroDivisionError("secret of ours"),
        NotDelivered("secret of ours"),
        LedgerUnavailable("The database does not answer."),
    ]

    async def broken(*_: Any, **__: Any) -> Any:
        raise faults[0]

    monkeypatch.setattr(served.gateway.whole.client, "show_plan", broken)
    async with connected(served, "viewer") as caller:
        for _ in range(2):
            refused = await caller.refused(caller.plans.GetPlan, pb.GetPlanRequest(plan_id="1"), x_request_id="mine-1")
            assert refused.code() is grpc.StatusCode.INTERNAL
            assert "secret" not in (refused.details() or "")
            assert "mine-1" in (refused.details() or "")
            assert trailing(refused)["x-request-id"] == "mine-1"
            faults.pop(0)
        assert "ZeroDivisionError" in capsys.readouterr().out
        refused = await caller.refused(caller.plans.GetPlan, pb.GetPlanRequest(plan_id="1"), x_request_id="no spaces")
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert trailing(refused)["grpc-retry-pushback-ms"] == "5000"
        assert trailing(refused)["x-request-id"] != "no spaces"


async def test_calls_are_counted_beside_requests(served: Served) -> None:
    rest = await served.caller("viewer")
    async with connected(served, "viewer") as caller:
        await caller(caller.plans.ListPipelines, pb.ListPipelinesRequest())
        await caller.refused(caller.plans.GetPlan, pb.GetPlanRequest(plan_id="4711"))
    page = (await rest.get("/metrics")).text
    assert 'route="/penstock.v1.Plans/ListPipelines",status="200"' in page
    assert 'route="/penstock.v1.Plans/GetPlan",status="404"' in page


async def test_a_port_that_is_taken_is_named(served: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        served.gateway.settings = _with(served, grpc_port=port)
        with pytest.raises(SettingError, match=f"grpc_port={port}: nobody can listen at 127.0.0.1"):
            grpc_server(served.gateway)
    one = grpc_server(served.gateway)
    with pytest.raises(SettingError, match="grpc_port"):  # and no other process shares it in silence
        grpc_server(served.gateway)
    await one.server.stop(None)


async def test_it_listens_on_this_machine_alone(served: Served) -> None:
    assert served.gateway.settings.host == "127.0.0.1"
    assert served.gateway.grpc is not None
    assert served.gateway.grpc.startswith("127.0.0.1:")


async def test_tls(served: Served, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert),
    ]  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=60)
    served.gateway.settings = _with(served, tls_cert=str(cert), tls_key=str(key))
    async with serving(served.gateway) as address:
        credentials = grpc.ssl_channel_credentials(cert.read_bytes())
        name = [("grpc.ssl_target_name_override", "localhost")]
        async with grpc.aio.secure_channel(address, credentials, options=name) as channel:
            caller = Caller(channel, await served.token("viewer"))
            assert len((await caller(caller.plans.ListPipelines, pb.ListPipelinesRequest())).pipelines) == 2
        async with grpc.aio.insecure_channel(address) as channel:
            caller = Caller(channel, await served.token("viewer"))
            refused = await caller.refused(caller.plans.ListPipelines, pb.ListPipelinesRequest())
            assert refused.code() is grpc.StatusCode.UNAVAILABLE
    key.write_text("nothing")
    with pytest.raises(SettingError, match="tls_cert, tls_key"):
        grpc_server(served.gateway)


async def test_at_its_end_it_finishes_what_was_asked(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    plan = served.gateway.whole.client.plan

    async def slow(*given: Any, **more: Any) -> Any:
        begun.set()
        await go.wait()
        return await plan(*given, **more)

    monkeypatch.setattr(served.gateway.whole.client, "plan", slow)
    served.gateway.settings = _with(served, grace=20.0)
    server = serving(served.gateway)
    address = await server.__aenter__()
    async with grpc.aio.insecure_channel(address) as channel:
        caller = Caller(channel, await served.token("operator"))
        asked = asyncio.create_task(caller(caller.plans.Plan, pb.PlanRequest(pipeline="ads")))
        await begun.wait()
        ending = asyncio.create_task(server.__aexit__(None, None, None))

        async def refused() -> bool:
            try:
                await caller(caller.plans.ListPipelines, pb.ListPipelinesRequest())
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNAVAILABLE
            return False

        await until(refused, "nothing new is taken")
        assert not ending.done()
        go.set()
        assert (await asked).gaps == 12
        await ending


def _with(served: Served, **changed: Any) -> Any:
    from dataclasses import replace

    return replace(served.gateway.settings, **changed)
