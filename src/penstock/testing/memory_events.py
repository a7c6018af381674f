"""The log of events in memory, and who has read how far in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from penstock.model.attempt import RunId
from penstock.ports.events import LoggedEvent, Reader, Taken
from penstock.testing.memory_rows import KIND_RUN, Tables, moment


@dataclass(slots=True)
class _Place:
    """How far a reader is; `owner` hands over until `lease_until`."""

    position: int
    owner: UUID | None = None
    lease_until: float = 0.0
    next_at: float = 0.0
    tries: int = 0
    error: str | None = None
    sent_at: float | None = None


class Events:
    """See `ports.events.EventStore`. What is told is in the log at once."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._places: dict[tuple[str, str], _Place] = {}

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events after a position."""
        found = [
            LoggedEvent(
                position=position,
                id=event,
                type=kind,
                at=datetime.fromtimestamp(at, UTC),
                run_id=of_run,
                run=self.tables.public(KIND_RUN, of_run),
                pipeline=self.tables.runs[of_run].pipeline.name,
            )
            for position, (event, (of_app, kind, at, of_run)) in enumerate(self.tables.outbox.items(), 1)
            if of_app == app and position > after and (not types or kind in types) and run in {None, of_run}
        ]
        return found[:limit]

    async def register_readers(self, app: str, names: Collection[str]) -> None:
        """Make these known; who is new begins after what is there now."""
        for name in names:
            self._places.setdefault((app, name), _Place(self._head(app)))

    async def hurry_readers(self, app: str, names: Collection[str]) -> None:
        """These may take events at once."""
        for name in names:
            if (place := self._places.get((app, name))) is not None:
                place.next_at = 0.0

    async def take_events(
        self, app: str, reader: str, *, owner: UUID, types: Collection[str] | None, lease: float, limit: int
    ) -> Taken | None:
        """The next events for this reader, and nobody else's for a while."""
        await self.register_readers(app, [reader])
        place, head, now = self._places[app, reader], self._head(app), self.tables.clock()
        if place.position >= head or place.next_at > now or (place.owner != owner and place.lease_until > now):
            return None
        found = await self.logged_events(app, after=place.position, types=types or (), limit=limit)
        if not found:
            place.position = head
            return None
        place.owner, place.lease_until = owner, now + lease
        through = found[-1].position if len(found) == limit else head
        return Taken(events=found, through=through, tries=place.tries)

    async def renew_events(self, app: str, reader: str, *, owner: UUID, lease: float) -> bool:
        """Keep what was taken for longer."""
        place = self._places[app, reader]
        if place.owner == owner:
            place.lease_until = self.tables.clock() + lease
        return place.owner == owner

    async def events_told(self, app: str, reader: str, *, owner: UUID, through: int) -> bool:
        """All up to here was handed over."""
        place = self._places[app, reader]
        if place.owner != owner:
            return False
        place.position, place.owner, place.lease_until = through, None, 0.0
        place.tries, place.error, place.sent_at = 0, None, self.tables.clock()
        return True

    async def events_refused(
        self, app: str, reader: str, *, owner: UUID, error: str, wait: float, through: int | None = None
    ) -> None:
        """What was taken could not be handed over, but for what is up to `through`."""
        place = self._places[app, reader]
        if place.owner != owner:
            return
        place.tries = place.tries + 1 if through is None else 1
        place.position = place.position if through is None else through
        place.error, place.next_at = error, self.tables.clock() + wait
        place.owner, place.lease_until = None, 0.0

    async def release_events(self, app: str, reader: str, *, owner: UUID) -> None:
        """Whoever asks next may take what this owner has taken."""
        place = self._places[app, reader]
        if place.owner == owner:
            place.owner, place.lease_until = None, 0.0

    async def readers(self, app: str) -> Sequence[Reader]:
        """How it stands with each reader."""
        shown: list[Reader] = []
        for (of_app, name), place in sorted(self._places.items()):
            if of_app == app:
                after = await self.logged_events(app, after=place.position, limit=len(self.tables.outbox) or 1)
                shown.append(
                    Reader(
                        name=name,
                        position=place.position,
                        waiting=len(after),
                        oldest=after[0].at if after else None,
                        sent_at=moment(place.sent_at),
                        tries=place.tries,
                        error=place.error,
                        next_at=moment(place.next_at or None),
                    )
                )
        return shown

    async def drop_reader(self, app: str, reader: str) -> int | None:
        """Forget a reader."""
        place = self._places.pop((app, reader), None)
        if place is None:
            return None
        return len(await self.logged_events(app, after=place.position, limit=len(self.tables.outbox) or 1))

    def _head(self, app: str) -> int:
        """The position of the last event of the app."""
        return max((at for at, (of_app, *_) in enumerate(self.tables.outbox.values(), 1) if of_app == app), default=0)
