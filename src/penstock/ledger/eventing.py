"""The log of events in the database, and how far each of its readers is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from penstock.ledger.connect import Connected
from penstock.ledger.queries import load
from penstock.ledger.text import clean
from penstock.model.attempt import RunId
from penstock.ports.events import LoggedEvent, Reader, Taken

LONGEST_ERROR = 1_000


class Eventing(Connected):
    """See `ports.events.EventStore`."""

    async def register_readers(self, app: str, names: Collection[str]) -> None:
        """Make these known."""
        await self.rows(load("events")["register"], app=app, names=sorted(names))

    async def hurry_readers(self, app: str, names: Collection[str]) -> None:
        """Let these be tried at once."""
        await self.rows(load("events")["hurry"], app=app, names=sorted(names))

    async def take_events(
        self, app: str, reader: str, *, owner: UUID, types: Collection[str] | None, lease: float, limit: int
    ) -> Taken | None:
        """The next events for this reader."""
        wanted = None if types is None else sorted(types)
        rows = await self.rows(
            load("events")["take"], app=app, reader=reader, owner=owner, types=wanted, lease=lease, limit=limit
        )
        if not rows:
            return None
        through = rows[-1]["position"] if len(rows) == limit else rows[0]["head"]
        return Taken(events=[logged_event(row) for row in rows], through=through, tries=rows[0]["tries"])

    async def renew_events(self, app: str, reader: str, *, owner: UUID, lease: float) -> bool:
        """Keep what was taken."""
        return bool(await self.rows(load("events")["renew"], app=app, reader=reader, owner=owner, lease=lease))

    async def events_told(self, app: str, reader: str, *, owner: UUID, through: int) -> bool:
        """All up to here was handed over."""
        return bool(await self.rows(load("events")["told"], app=app, reader=reader, owner=owner, through=through))

    async def events_refused(
        self, app: str, reader: str, *, owner: UUID, error: str, wait: float, through: int | None = None
    ) -> None:
        """It could not be handed over."""
        binds = {"app": app, "reader": reader, "owner": owner, "wait": wait, "through": through or 0}
        await self.rows(load("events")["refused"], **binds, error=clean(error)[:LONGEST_ERROR])

    async def release_events(self, app: str, reader: str, *, owner: UUID) -> None:
        """Let go what was taken."""
        await self.rows(load("events")["release"], app=app, reader=reader, owner=owner)

    async def readers(self, app: str) -> Sequence[Reader]:
        """How it stands with each."""
        return [Reader(**row) for row in await self.rows(load("events")["readers"], app=app)]

    async def drop_reader(self, app: str, reader: str) -> int | None:
        """Forget a reader."""
        rows = await self.rows(load("events")["drop"], app=app, reader=reader)
        return int(rows[0]["left"]) if rows else None

    async def last_event(self, app: str) -> int:
        """The place of the newest event in the log; 0 where there is none."""
        sql = load("events")
        while (await self.rows(sql["sequence"], app=app))[0]["moved"]:
            pass
        return int((await self.rows(sql["last"], app=app))[0]["last"])

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events after a position."""
        sql = load("events")
        while (await self.rows(sql["sequence"], app=app))[0]["moved"]:
            pass
        query = sql["logged" if run is None else "logged_of_run"]
        binds: dict[str, Any] = {} if run is None else {"run": run}
        rows = await self.rows(query, app=app, after=after, types=sorted(types) or None, limit=limit, **binds)
        return [logged_event(row) for row in rows]


def logged_event(row: Mapping[str, Any]) -> LoggedEvent:
    """A row of the log as a value."""
    return LoggedEvent(
        position=row["position"],
        id=row.get("event_id") or row["id"],
        type=row["type"],
        at=row["at"],
        run_id=RunId(row["run_id"]),
        run=row["run"],
        pipeline=row["pipeline"],
        step=row["step"],
        data=row["data"],
    )
