"""`@app.on(...)`: events from the outbox to the app's own functions, after the commit, at least once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from penstock.definition.registry import wants_of
from penstock.model.errors import LedgerUnavailable
from penstock.model.redaction import traced
from penstock.model.results import Event
from penstock.model.states import EventType
from penstock.ports.ledger import Ledger

PAUSE = 0.5
"""Seconds between looks at the outbox while an engine works."""


class Deliveries:
    """Hands over one app's events while one of its engines works.

    Args:
        app: Whose events.
        ledger: Where the outbox is.
        call: Calls a function with its parameters filled by type, but for those given.
        handlers: What is called, by type.
        before: Called before events are taken away, so that whoever else wants them has them.
    """

    def __init__(
        self,
        app: str,
        ledger: Ledger,
        call: Callable[..., Awaitable[Any]],
        handlers: Mapping[EventType, Sequence[Callable[..., Any]]],
        before: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._before = before
        self._app, self._ledger, self._call, self._handlers = app, ledger, call, handlers
        self._log = structlog.get_logger("penstock.events")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver in the background, and what is left at the end."""
        if not self._handlers and self._before is None:
            yield
            return
        task = asyncio.create_task(self._loop(), name="penstock-deliveries")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.deliver()

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            try:
                await self.deliver()
            except LedgerUnavailable as error:
                self._log.warning("events wait for the ledger", reason=str(error))

    async def deliver(self) -> int:
        """Hand over what is in the outbox now; returns how many were."""
        count = 0
        while found := await self._ledger.events(self._app, 100):
            if self._before is not None:
                await self._before()
            handed: list[UUID] = []
            for event_id, kind, at, run in found:
                stored = await self._ledger.run(run)
                data = {"number": run, "state": stored.state, "error": stored.error, "error_class": stored.error_class,
                        "units": list(stored.units)}  # fmt: skip
                event = Event(event_id, kind, at, stored.pipeline, stored.uuid, data)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                if not await self._hand_over(event):
                    return count
                handed.append(event_id)
            await self._ledger.delivered(handed)
            count += len(handed)
        return count

    async def _hand_over(self, event: Event) -> bool:
        for handler in self._handlers.get(event.type, ()):
            given = {name: event for name, want in wants_of(handler).items() if want is Event}
            try:
                await self._call(handler, **given)
            except Exception as error:  # noqa: BLE001 - a user's function; the event stays and is handed over again
                # The traceback is text, and not exc_info: structlog as it comes shows the values of locals too.
                self._log.error(f"{handler.__name__} failed on event {event.id}\n{traced(error)}")
                return False
        return True
