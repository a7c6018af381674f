"""Following the log of events: what happened after a place, and then what happens, as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Protocol

from penstock.model.attempt import RunId
from penstock.model.cloud_events import CloudEvent
from penstock.ports.events import LoggedEvent

POLL: Final = 1.0
"""Seconds between looks at the log."""
PAGE: Final = 200


class EventLog(Protocol):
    """The log, as far as whoever asks may see it."""

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events after this position, oldest first."""
        ...

    async def last_event(self, app: str) -> int:
        """The position of the newest event."""
        ...


class Events:
    """The log of one app's events.

    Args:
        app: Whose.
        log: Where they are, as far as may be seen.
        org: Only this organization's are given; None: all.
    """

    def __init__(self, app: str, log: EventLog, *, org: str | None = None) -> None:
        self._app, self._log, self._org = app, log, org

    async def last(self) -> int:
        """The place of the newest event: who begins there hears what comes."""
        return await self._log.last_event(self._app)

    async def after(
        self, place: int, *, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[CloudEvent]:
        """Events after a place, oldest first; of one run only, where one is named."""
        found = await self._log.logged_events(self._app, after=place, types=types, run=run, limit=limit)
        return [
            CloudEvent(
                id=one.id,
                app=self._app,
                type=one.type,
                run=one.run,
                time=one.at,
                position=one.position,
                data=one.data or {},
            )
            for one in found
            if self._org is None or (one.data or {}).get("organization") == self._org
        ]

    async def follow(
        self, place: int, *, types: Collection[str] = (), run: RunId | None = None, stopping: asyncio.Event
    ) -> AsyncIterator[CloudEvent | None]:
        """Events after a place and those that come, until `stopping`; None after each look that found no more.

        Every event is given at least once to who begins again at the place of the last one that it had.
        """
        while not stopping.is_set():
            head = await self.last()  # first: what comes after it is found by the next look
            found = await self.after(place, types=types, run=run, limit=PAGE) if head > place else ()
            for event in found:
                yield event
            if len(found) == PAGE:
                place = found[-1].position
                continue
            place = max(place, head, *(event.position for event in found[-1:]))  # some may have come since
            yield None
            try:
                await asyncio.wait_for(stopping.wait(), POLL)
            except TimeoutError:
                continue
