"""uvicorn in a loop that is there already: it begins to listen, and lets requests finish when it stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from penstock.api.http.app import make_app
from penstock.model.errors import SettingError
from penstock.operations.gateway import Gateway

BACKLOG = 512


class _Server(uvicorn.Server):
    """Signals are the whole service's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens at this address.

    Raises:
        SettingError: It cannot; the message says why.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio sends at once (TCP_NODELAY) only on sockets that say their protocol; else each answer waits 40 ms.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen(BACKLOG)
        except OSError:
            found.close()
            raise
    except OSError as error:
        msg = f"{setting}={port}: nobody can listen at {host} port {port}: {error.strerror or error}."
        raise SettingError(msg) from None
    found.setblocking(False)
    return found


@asynccontextmanager
async def serving(gateway: Gateway, listening: socket.socket, *, tracer_provider: Any = None) -> AsyncGenerator[str]:
    """Answer requests while the block runs; gives the URL. At its end nothing new is taken, and what is asked finishes.

    Raises:
        SettingError: The certificate or its key cannot be read.
    """
    settings = gateway.settings
    try:
        config = uvicorn.Config(
            make_app(gateway, tracer_provider=tracer_provider),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=settings.behind_tls,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=max(1, round(settings.grace)),
        )
        config.load()
    except OSError as error:  # ssl.SSLError is one
        listening.close()
        raise SettingError(f"tls_cert, tls_key: {error.strerror or error}.") from None
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="penstock-http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(0.01)
        if task.done():
            await task
        scheme = "https" if settings.tls_cert is not None else "http"
        host, port = listening.getsockname()[:2]
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)
