"""`@app.on(...)`: events to the app's own functions, after the commit, in order, at least once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast
from uuid import uuid4

import structlog

from penstock.definition.registry import wants_of
from penstock.model.attempt import RunId
from penstock.model.errors import LedgerUnavailable, NotFound
from penstock.model.redaction import redact, traced
from penstock.model.results import Event
from penstock.model.states import EventType
from penstock.operations.holding import while_held
from penstock.ports.events import EventStore, LoggedEvent
from penstock.ports.records import StoredRun

READER: Final = "@on"
"""The functions' name among the readers of the log."""
PAUSE: Final = 0.5
"""Seconds between looks at the log while an engine works."""
LEASE: Final = 30.0
"""Seconds for which events are one process's, made longer while a function works."""
BATCH: Final = 100


class EventSource(EventStore, Protocol):
    """The log of events, and the runs that they tell of."""

    async def run(self, run: RunId) -> StoredRun:
        """The run with its steps.

        Raises:
            NotFound: There is no such run.
        """
        ...


class Deliveries:
    """Hands over one app's events while one of its engines works.

    Args:
        app: Whose events.
        source: Where they are.
        call: Calls a function with its parameters filled by type, but for those given.
        handlers: What is called, by type.
    """

    def __init__(
        self,
        app: str,
        source: EventSource,
        call: Callable[..., Awaitable[Any]],
        handlers: Mapping[EventType, Sequence[Callable[..., Any]]],
    ) -> None:
        self._app, self._source, self._call, self._handlers = app, source, call, handlers
        self._owner = uuid4()
        self._log = structlog.get_logger("penstock.events")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deliver in the background, and what is left at the end."""
        if not self._handlers:
            yield
            return
        await self._source.register_readers(self._app, [READER])
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
        """Hand over what is in the log now, unless another process does; returns how many events were handed over."""
        place: dict[str, Any] = {"app": self._app, "reader": READER, "owner": self._owner}
        count = 0
        while taken := await self._source.take_events(**place, types=list(self._handlers), lease=LEASE, limit=BATCH):
            done, why = await while_held(
                self._hand_over(taken.events), lambda: self._source.renew_events(**place, lease=LEASE), every=LEASE / 3
            )
            count += done
            if why is not None:
                through = taken.events[done - 1].position if done else None
                await self._source.events_refused(**place, error=why, wait=0.0, through=through)
                return count
            await self._source.events_told(**place, through=taken.through)
        return count

    async def _hand_over(self, events: Sequence[LoggedEvent]) -> tuple[int, str | None]:
        """How many were handed over, and why not the next."""
        for done, logged in enumerate(events):
            event = await self._event(logged)
            for handler in self._handlers.get(event.type, ()):
                given = {name: event for name, want in wants_of(handler).items() if want is Event}
                try:
                    await self._call(handler, **given)
                except Exception as error:  # noqa: BLE001 - a user's function; the event stays and is handed over again
                    # The traceback is text, and not exc_info: structlog as it comes shows the values of locals too.
                    self._log.error(f"{handler.__name__} failed on event {event.id}\n{traced(error)}")
                    return done, redact(f"{handler.__name__}: {type(error).__name__}: {error}")
        return len(events), None

    async def _event(self, logged: LoggedEvent) -> Event:
        """The event, with its run as it is now."""
        data = dict(logged.data or {})
        pipeline = logged.pipeline or ""
        with contextlib.suppress(NotFound):  # it was pruned: what the log says has to do
            run = await self._source.run(logged.run_id)
            pipeline = run.pipeline
            data |= {"number": run.id, "state": run.state, "error": run.error, "error_class": run.error_class,
                     "units": list(run.units)}  # fmt: skip
        return Event(logged.id, cast("EventType", logged.type), logged.at, pipeline, logged.run, data)
