"""`serve`: the service, until somebody stops it."""

from __future__ import annotations

import ipaddress
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.options import AppOption, LanesOption
from penstock.cli.session import Session, open_session
from penstock.model.errors import SettingError

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.operations.gateway import Gateway


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("serve")(serve)


def serve(
    ctx: typer.Context,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", help="For REST; 0 takes any free one.")] = None,
    grpc_port: Annotated[int | None, typer.Option("--grpc-port", metavar="N", help="For gRPC.")] = None,
    lanes: LanesOption = None,
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="Something before the service speaks TLS to the callers.")
    ] = False,
    app: AppOption = None,
) -> None:
    """Answer REST and gRPC, fire schedules, carry out runs.

    Several may share one database.
    """
    if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "grpc")):
        raise SettingError("The service is not installed: pip install 'penstock[service]'.")
    flags = {"host": host, "http_port": port, "grpc_port": grpc_port, "behind_tls": behind_tls or None}
    session = open_session(ctx, app, lanes=lanes, flags=flags, as_json=True)
    check_place(session.settings)
    import asyncio

    asyncio.run(_serve(session))


def check_place(settings: Settings) -> None:
    """Tokens must not cross a network in the clear.

    Raises:
        SettingError: The address is not this machine's own, and nobody speaks TLS.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingError("tls_cert and tls_key come together: a certificate chain and its key, both PEM.")
    if is_loopback(settings.host) or settings.tls_cert is not None or settings.behind_tls:
        return
    msg = (
        f"host={settings.host} can be reached from other machines, and tokens would cross the network in the clear. "
        f"Give tls_cert and tls_key, or say --behind-tls where something before the service speaks TLS."
    )
    raise SettingError(msg)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def first_token(gateway: Gateway) -> str | None:
    """On this machine alone a first token is made and shown; elsewhere somebody must have made one.

    Raises:
        SettingError: There is no token, and the service could be reached from elsewhere.
    """
    if is_loopback(gateway.settings.host):
        made = await gateway.tokens.first()
        return None if made is None else made.secret
    if not await gateway.tokens.list():
        msg = (
            f"host={gateway.settings.host} can be reached from other machines, and there is no token yet. "
            f"Make one first: penstock token create NAME --role admin."
        )
        raise SettingError(msg)
    return None


async def _serve(session: Session) -> None:
    import asyncio
    import signal

    import structlog

    from penstock.api.http.serving import bind
    from penstock.engines.local.signals import Stopper
    from penstock.wiring import open_service, running

    settings, app = session.settings, session.app
    log = structlog.get_logger("penstock.service")
    listening = bind(settings.host, settings.http_port, "http_port")
    asked = asyncio.Event()

    async def stop() -> None:
        asked.set()

    try:
        async with open_service(app.registry, settings, handlers=app.handlers, database=app.database) as gateway:
            secret = await first_token(gateway)
            if gateway.tokens.fault is not None:
                log.warning("tokens of one organization are refused", reason=gateway.tokens.fault)
            with Stopper(asyncio.get_running_loop(), stop, (signal.SIGTERM, signal.SIGINT)):
                async with running(gateway, listening) as (url, work):
                    if secret is not None:  # past every log and its redaction: this once it is to be read
                        sys.stderr.write(f"An admin's token, shown this once: {secret}\n")
                        sys.stderr.flush()
                    log.info("serving", app=app.name, url=url, grpc=gateway.grpc, lanes=settings.lanes)
                    waiting = asyncio.create_task(asked.wait())
                    await asyncio.wait([waiting, work], return_when=asyncio.FIRST_COMPLETED)
                    waiting.cancel()
                if not asked.is_set():
                    await work  # raises why it cannot go on
            log.info("stopped", app=app.name)
    finally:
        listening.close()
