"""`events:` in penstock.yaml: every event to every sink at least once, beside the work and never in its way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final
from uuid import uuid4

import structlog

from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import LeaseLost, LedgerUnavailable, NotDelivered, SettingError
from penstock.model.publishing import Publishing, SinkSettings
from penstock.model.redaction import redact, traced
from penstock.operations.holding import while_held
from penstock.ports.events import EventSink, EventStore, LoggedEvent, Taken

PAUSE: Final = 0.5
"""Seconds between looks at the log."""
LEASE: Final = 30.0
"""Seconds after which another process goes on where one has died; made longer while a sink is being sent to."""
BATCH: Final = 200
LONGEST_SEND: Final = 300.0
"""Seconds for one batch: a sink's own limits are for each request."""
AT_END: Final = 5.0
"""Seconds that a process stays at its end to send what waits; what it cannot send stays for another."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0


def wait_after(tries: int) -> float:
    """Seconds until a sink that refused `tries` times in a row is tried again: 1 s, doubled, at most a minute."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(max(tries - 1, 0), 16))


class Publications:
    """Sends one app's events to its sinks, each of which goes its own way.

    Args:
        app: Whose events.
        store: Where they are.
        publishing: The sinks.
        make: Makes a sink as its settings say.
    """

    def __init__(
        self, app: str, store: EventStore, publishing: Publishing, make: Callable[[SinkSettings], EventSink]
    ) -> None:
        self._app, self._store = app, store
        self._sinks = [Publication(app, store, sink, make) for sink in publishing.sinks.values()]
        self._log = structlog.get_logger("penstock.events")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Send in the background; at the end what waits, for at most 5 seconds."""
        await self._store.register_readers(self._app, [sink.name for sink in self._sinks])
        stopping = asyncio.Event()
        tasks = [asyncio.create_task(sink.run(stopping), name=f"penstock-sink-{sink.name}") for sink in self._sinks]
        try:
            yield
        finally:
            stopping.set()
            _, late = await asyncio.wait(tasks, timeout=AT_END)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if late:
                self._log.warning("events wait for another process", reason="sending them takes too long")

    async def send(self, *, now: bool = False) -> int:
        """Send what waits, to every sink that is due; returns how many events were sent, over all sinks.

        Args:
            now: To sinks that have refused as well, before their time.
        """
        names = [sink.name for sink in self._sinks]
        await self._store.register_readers(self._app, names)
        if now:
            await self._store.hurry_readers(self._app, names)
        try:
            return sum(await asyncio.gather(*(sink.send_all() for sink in self._sinks)))
        finally:
            await asyncio.gather(*(sink.close() for sink in self._sinks))


class Publication:
    """One sink, and the place in the log up to which it has everything."""

    def __init__(
        self, app: str, store: EventStore, settings: SinkSettings, make: Callable[[SinkSettings], EventSink]
    ) -> None:
        self.name = settings.name
        self._app, self._store, self._settings, self._make = app, store, settings, make
        self._sink: EventSink | None = None
        self._place: dict[str, Any] = {"app": app, "reader": settings.name, "owner": uuid4()}
        self._log = structlog.get_logger("penstock.events").bind(sink=settings.name)

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until it is asked to stop, and then once more."""
        over = False
        try:
            while not over:
                over = stopping.is_set()
                try:
                    await self.send_all()
                except LedgerUnavailable as error:
                    self._log.warning("events wait for the ledger", reason=str(error))
                except Exception as error:  # noqa: BLE001 - whatever it is, the next look may send them
                    self._log.error(f"events wait: sending them failed\n{traced(error)}")
                if not over:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stopping.wait(), PAUSE)
        finally:
            await self.close()

    async def send_all(self) -> int:
        """Send what the log has now, batch by batch, unless another process does or the sink has refused."""
        count = 0
        while taken := await self._store.take_events(
            **self._place, types=self._settings.types, lease=LEASE, limit=BATCH
        ):
            sent = await self._send(taken)
            count += sent
            if sent < len(taken.events):
                break
        return count

    async def close(self) -> None:
        """Let the sink's connections go."""
        sink, self._sink = self._sink, None
        if sink is not None:
            await sink.close()

    async def _send(self, taken: Taken) -> int:
        """How many were sent, from the first on."""
        try:
            await while_held(
                self._hand_over([cloud_event(self._app, event) for event in taken.events]),
                lambda: self._store.renew_events(**self._place, lease=LEASE),
                every=LEASE / 3,
            )
        except NotDelivered as error:
            through = taken.events[error.delivered - 1].position if error.delivered else None
            wait = wait_after(1 if error.delivered else taken.tries + 1)
            self._log.warning("events were not delivered", reason=str(error), again_in=wait)
            await self._store.events_refused(**self._place, error=str(error), wait=wait, through=through)
            return error.delivered
        except LeaseLost as error:
            self._log.warning("events go on elsewhere", reason=str(error))
            return 0
        except asyncio.CancelledError:
            with contextlib.suppress(LedgerUnavailable):  # its time runs out by itself
                await self._store.release_events(**self._place)
            raise
        await self._store.events_told(**self._place, through=taken.through)
        return len(taken.events)

    async def _hand_over(self, events: list[CloudEvent]) -> None:
        try:
            if self._sink is None:
                self._sink = self._make(self._settings)
            async with asyncio.timeout(LONGEST_SEND):
                await self._sink.send(events)
        except NotDelivered:
            raise
        except SettingError as error:
            raise NotDelivered(str(error)) from None
        except TimeoutError:
            await self.close()
            raise NotDelivered(f"not done within {LONGEST_SEND:.0f} s") from None
        except Exception as error:
            await self.close()
            raise NotDelivered(redact(f"{type(error).__name__}: {error}")) from error


def cloud_event(app: str, event: LoggedEvent) -> CloudEvent:
    """An event of the log as other programs get it."""
    return CloudEvent(
        id=event.id,
        app=app,
        type=event.type,
        run=event.run,
        time=event.at,
        position=event.position,
        data=dict(event.data or {}),
    )
