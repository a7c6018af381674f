"""Callers of the gRPC face, over a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from penstock.api.grpc.v1.administration_pb2_grpc import AdministrationStub
from penstock.api.grpc.v1.control_pb2_grpc import ControlStub
from penstock.api.grpc.v1.events_pb2_grpc import EventsStub
from penstock.api.grpc.v1.executions_pb2_grpc import ExecutionsStub
from penstock.api.grpc.v1.plans_pb2_grpc import PlansStub
from penstock.model.token import Role
from tests.api.conftest import Served

DEADLINE = 20.0


class Caller:
    """Stubs of every service on one channel, and the metadata that goes with each call."""

    def __init__(self, channel: grpc.aio.Channel, secret: str | None) -> None:
        self.channel = channel
        self.metadata: tuple[tuple[str, str], ...] = () if secret is None else (("authorization", f"Bearer {secret}"),)
        self.executions, self.plans, self.control = ExecutionsStub(channel), PlansStub(channel), ControlStub(channel)
        self.events, self.administration = EventsStub(channel), AdministrationStub(channel)

    async def __call__(self, method: Any, request: Any, **metadata: str) -> Any:
        """Call a method of a stub."""
        more = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        return await method(request, metadata=(*self.metadata, *more), timeout=DEADLINE)

    async def refused(self, method: Any, request: Any, **metadata: str) -> grpc.aio.AioRpcError:
        """The status of a call that must not go well."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self(method, request, **metadata)
        return caught.value


@asynccontextmanager
async def connected(served: Served, role: Role | None, org: str | None = None) -> AsyncGenerator[Caller]:
    """A caller with a token of this role, or with none."""
    assert served.gateway.grpc is not None
    async with grpc.aio.insecure_channel(served.gateway.grpc) as channel:
        yield Caller(channel, None if role is None else await served.token(role, org))
