"""Telling other programs: the log of events, who has read how far in it, and what takes events further."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from penstock.model.attempt import RunId
from penstock.model.cloud_events import CloudEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """A row of the log."""

    position: int
    id: UUID
    type: str
    at: datetime
    run_id: RunId
    run: UUID
    pipeline: str | None = None
    step: str | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Events that are one owner's to hand over. `through` is the place up to which the log was looked at."""

    events: Sequence[LoggedEvent]
    through: int
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How it stands with one reader of the log.

    Attributes:
        name: A sink's name; a reader of Penstock's own begins with @.
        position: The last event that it has, or that was not for it.
        waiting: Events after that, of any type.
        oldest: When the first of them happened.
        sent_at: When it last took something.
        tries: How often in a row it has refused.
        error: Why, the last time.
        next_at: When it is tried again.
    """

    name: str
    position: int
    waiting: int
    oldest: datetime | None = None
    sent_at: datetime | None = None
    tries: int = 0
    error: str | None = None
    next_at: datetime | None = None


class EventStore(Protocol):
    """The log of events and its readers. Every method raises LedgerUnavailable when it cannot answer."""

    async def register_readers(self, app: str, names: Collection[str]) -> None:
        """Make these known. Who is new begins after what is in the log now; what is still in the outbox is for all."""
        ...

    async def hurry_readers(self, app: str, names: Collection[str]) -> None:
        """These may take events at once, whenever they were to be tried again."""
        ...

    async def take_events(
        self, app: str, reader: str, *, owner: UUID, types: Collection[str] | None, lease: float, limit: int
    ) -> Taken | None:
        """The next events for this reader, in order, and nobody else's for `lease` seconds; None: nothing to do now.

        What is in the outbox goes into the log first. Nothing is given while another owner has some, and before the
        time that a refusal has set.

        Args:
            app: Whose log.
            reader: Who reads.
            owner: Who hands over; it may take again what it has taken.
            types: Only these; None: all.
            lease: Seconds.
            limit: At most so many.
        """
        ...

    async def renew_events(self, app: str, reader: str, *, owner: UUID, lease: float) -> bool:
        """Keep what was taken for so many seconds more; False: it is somebody else's by now."""
        ...

    async def events_told(self, app: str, reader: str, *, owner: UUID, through: int) -> bool:
        """All up to here was handed over; False: it is somebody else's by now, who will hand it over again."""
        ...

    async def events_refused(
        self, app: str, reader: str, *, owner: UUID, error: str, wait: float, through: int | None = None
    ) -> None:
        """What was taken could not be handed over, but for what is up to `through`; not again for `wait` seconds."""
        ...

    async def release_events(self, app: str, reader: str, *, owner: UUID) -> None:
        """Whoever asks next may take what this owner has taken."""
        ...

    async def readers(self, app: str) -> Sequence[Reader]:
        """How it stands with each reader, by name."""
        ...

    async def drop_reader(self, app: str, reader: str) -> int | None:
        """Forget a reader; returns how many events it did not have, or None where it is not known."""
        ...

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events after this position, oldest first. What is in the outbox goes into the log first."""
        ...


class EventSink(Protocol):
    """Takes events to one place."""

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """Hand them over in this order; returns when the other side has all of them for good.

        An event may come again, with the same id: after a NotDelivered, or when a process died before it could note
        that the event was sent.

        Raises:
            NotDelivered: Some were not handed over, or may not have been; the message says why and holds no secret.
        """
        ...

    async def close(self) -> None:
        """Let connections go. Never raises; the sink may be used again."""
        ...
