"""The gRPC server of one service, in a loop that is there already."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import structlog
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from penstock.api.grpc.administration import Administration
from penstock.api.grpc.binding import LOOK, Binding, Gate
from penstock.api.grpc.control import Control
from penstock.api.grpc.events import Events
from penstock.api.grpc.executions import Executions
from penstock.api.grpc.guard import Guard
from penstock.api.grpc.plans import Plans
from penstock.api.grpc.v1 import administration_pb2, control_pb2, events_pb2, executions_pb2, plans_pb2
from penstock.config import Settings
from penstock.model.errors import SettingError
from penstock.model.redaction import traced
from penstock.operations.gateway import Gateway

SERVICERS: Final = {
    "Executions": (executions_pb2.DESCRIPTOR, Executions),
    "Plans": (plans_pb2.DESCRIPTOR, Plans),
    "Control": (control_pb2.DESCRIPTOR, Control),
    "Events": (events_pb2.DESCRIPTOR, Events),
    "Administration": (administration_pb2.DESCRIPTOR, Administration),
}
MOST_CALLS: Final = 1_000
"""Calls at once, streams included; more are refused with RESOURCE_EXHAUSTED."""
HEALTH: Final = 1.0
"""Seconds between looks at whether the service is ready."""
MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that listens: `port` is the one that it has."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer
    port: int
    names: tuple[str, ...]


def services() -> dict[str, ServiceDescriptor]:
    """What the protocol has, by the names of services."""
    files: list[FileDescriptor] = [file for file, _ in SERVICERS.values()]
    return {name: file.services_by_name[name] for name, file in zip(SERVICERS, files, strict=True)}


def grpc_server(gateway: Gateway, *, look: float = LOOK) -> GrpcServer:
    """A server for this service; it has its port, and does not answer yet.

    Args:
        gateway: The service.
        look: Seconds between looks at the tokens of streams.

    Raises:
        SettingError: Nobody can listen there, or the certificate or its key cannot be read.
    """
    settings = gateway.settings
    guard = Guard(gateway)
    names = [service.full_name for service in services().values()]
    server = grpc.aio.server(
        interceptors=[Gate(guard, [reflection.SERVICE_NAME])],
        options=[
            ("grpc.so_reuseport", 0),  # a port that is taken is an error, and not half of the calls
            ("grpc.max_receive_message_length", settings.http_body),
            ("grpc.keepalive_time_ms", MINUTE_MS),  # callers that vanished hold no stream
            ("grpc.http2.min_ping_interval_without_data_ms", MINUTE_MS // 6),
        ],
        maximum_concurrent_rpcs=MOST_CALLS,
    )
    binding = Binding(gateway, guard, look=look)
    servicers = {name: servicer() for name, (_, servicer) in SERVICERS.items()}
    server.add_generic_rpc_handlers([binding.handler(service, servicers[name]) for name, service in services().items()])
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    return GrpcServer(server, healthy, _listen(server, settings), ("", *names))


@asynccontextmanager
async def serving(gateway: Gateway, *, look: float = LOOK) -> AsyncGenerator[str]:
    """Answer calls while the block runs; gives the address.

    At its end nothing new is taken, and what is asked finishes within the setting's grace. Streams end as soon as the
    service is stopping.
    """
    made = grpc_server(gateway, look=look)
    await _show_health(gateway, made)
    await made.server.start()
    watching = asyncio.create_task(_watch_health(gateway, made), name="penstock-grpc-health")
    try:
        yield f"{_bracketed(gateway.settings.host)}:{made.port}"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await made.health.enter_graceful_shutdown()
        await made.server.stop(gateway.settings.grace)


async def _watch_health(gateway: Gateway, made: GrpcServer) -> None:
    while True:
        await asyncio.sleep(HEALTH)
        try:
            await _show_health(gateway, made)
        except Exception as error:  # noqa: BLE001 - the next look may go well; until then it is not known to be ready
            structlog.get_logger("penstock.grpc").error("health is not known", traceback=traced(error))
            await _set_health(made, ready=False)


async def _show_health(gateway: Gateway, made: GrpcServer) -> None:
    """The same that REST's /readyz says."""
    await _set_health(made, ready=not await gateway.ready())


async def _set_health(made: GrpcServer, *, ready: bool) -> None:
    state = health_pb2.HealthCheckResponse
    for name in made.names:
        await made.health.set(name, state.SERVING if ready else state.NOT_SERVING)


def _listen(server: grpc.aio.Server, settings: Settings) -> int:
    address = f"{_bracketed(settings.host)}:{settings.grpc_port}"
    try:
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(address)
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_cert, settings.tls_key)
        pair = (Path(settings.tls_key).read_bytes(), Path(settings.tls_cert).read_bytes())
        return server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except OSError as error:  # ssl.SSLError is one
        raise SettingError(f"tls_cert, tls_key: {error.strerror or error}.") from None
    except RuntimeError:
        msg = f"grpc_port={settings.grpc_port}: nobody can listen at {settings.host} port {settings.grpc_port}."
        raise SettingError(msg) from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
