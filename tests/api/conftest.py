"""A service over a real socket, on a database of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

import penstock as ps
from penstock import wiring
from penstock.api.http.serving import bind
from penstock.config import Settings
from penstock.model.token import Role
from penstock.operations.gateway import Gateway
from tests.api.medallion import make

DEADLINE = 30.0


@dataclass
class Served:
    """One service: its URL, what it is made of, and callers with tokens of any kind."""

    url: str
    gateway: Gateway
    work: asyncio.Task[Any]
    stack: AsyncExitStack
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    async def token(self, role: Role, org: str | None = None) -> str:
        name = f"{role}-{org or 'all'}"
        if name not in self.tokens:
            self.tokens[name] = (await self.gateway.tokens.create(name, role, org=org)).secret
        return self.tokens[name]

    async def caller(self, role: Role | None, org: str | None = None) -> httpx2.AsyncClient:
        headers = {} if role is None else {"Authorization": f"Bearer {await self.token(role, org)}"}
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False)
        return await self.stack.enter_async_context(client)


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until it holds."""
    async with asyncio.timeout(DEADLINE):
        while True:
            found = condition()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(what)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(database_url: str, tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a service; more than one may share the database."""
    async with AsyncExitStack() as stack:

        async def start(app: ps.App | None = None, url: str = database_url, **settings: Any) -> Served:
            app = app or make()
            chosen = Settings(home=tmp_path, http_port=0, grpc_port=0, http_rate=1_000_000, grace=2.0)
            chosen = replace(chosen, **settings)
            service = wiring.open_service(app.registry, chosen, handlers=app.handlers, database=wiring.Database(url))
            gateway = await stack.enter_async_context(service)
            listening = bind("127.0.0.1", 0, "http_port")
            at, task = await stack.enter_async_context(wiring.running(gateway, listening))
            return Served(at, gateway, task, stack)

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve()
