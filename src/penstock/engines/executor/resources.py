"""What steps share, opened when first asked for and closed when the app stops."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from penstock.definition.registry import Registry, wants_of


class Resources:
    """The shared objects of one app in one event loop, told apart by type.

    Args:
        registry: Which resources there are.
        load_settings: Makes the settings object, when somebody asks for it.
    """

    def __init__(self, registry: Registry, load_settings: Callable[[], Any]) -> None:
        self._registry, self._load_settings = registry, load_settings
        self._made: dict[Any, Any] = {}
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()

    async def get(self, kind: Any) -> Any:
        """The shared object of this type; made now if nobody asked before."""
        if kind in self._made:
            return self._made[kind]
        async with self._lock:
            return await self._make(kind)

    def give(self, kind: Any, value: object) -> None:
        """An object that the app itself gives."""
        self._made[kind] = value

    async def call(self, function: Callable[..., Any], **given: object) -> Any:
        """Call a function with its parameters filled by type, but for those given; an awaitable result is awaited."""
        wants = {name: want for name, want in wants_of(function).items() if name not in given}
        result = function(**given, **{name: await self.get(want) for name, want in wants.items()})
        return await result if inspect.isawaitable(result) else result

    async def close(self) -> None:
        """Leave everything that was entered, the last first."""
        await self._stack.aclose()

    async def _make(self, kind: Any) -> Any:
        if kind in self._made:
            return self._made[kind]
        if kind is self._registry.settings:
            made = self._load_settings()
        else:
            made = await self._enter(self._registry.resources[kind])
        self._made[kind] = made
        return made

    async def _enter(self, resource: object) -> Any:
        made: Any = resource
        if isinstance(resource, type) or inspect.isroutine(resource):
            arguments = {name: await self._make(want) for name, want in wants_of(resource).items()}
            function: Any = resource
            yields, yields_async = inspect.isgeneratorfunction(function), inspect.isasyncgenfunction(function)
            if yields_async:
                made = asynccontextmanager(function)(**arguments)
            elif yields:
                made = contextmanager(function)(**arguments)
            else:
                answer: Any = function(**arguments)
                waits = inspect.isawaitable(answer)
                made = await answer if waits else answer
        return await self._hold(made)

    async def _hold(self, made: Any) -> Any:
        """A context manager is entered until the app stops; anything else is what it is."""
        if hasattr(made.__class__, "__aenter__"):
            return await self._stack.enter_async_context(made)
        if hasattr(made.__class__, "__enter__"):
            return self._stack.enter_context(made)
        return made
