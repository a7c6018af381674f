"""Notices in the database: taken from the log of events, told by one process at a time, kept until they are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import uuid4

from penstock.ledger.connect import Connected, translated
from penstock.ledger.queries import load
from penstock.ledger.text import clean
from penstock.model.attempt import RunEnd
from penstock.ports.notices import Batch, ToldRun, Waiting

NAMED = 10
"""Runs that a message names; the others are counted."""


class Noticing(Connected):
    """See `ports.notices.NoticeStore`."""

    async def collect_notices(self, app: str, targets: Collection[str], ends: Collection[RunEnd]) -> int:
        """Take new ends of runs from the log."""
        sql, told, moved = load("notices")["collect"], 0, 1
        while moved:
            (row,) = await self.rows(sql, app=app, targets=list(targets), ends=list(ends))
            moved, told = row["moved"], told + row["told"]
        return told

    async def take_batch(
        self, app: str, target: str, *, collect: float, lease: float, whole: bool = False
    ) -> Batch | None:
        """All that waits for this target, if it is due and nobody else tells it."""
        sql, place, batch = load("notices"), {"app": app, "target": target}, uuid4()
        taken = await self.rows(sql["take_target"], **place, collect=collect, lease=lease, whole=whole)
        if not taken:
            return None
        (marked,) = await self.rows(sql["mark_batch"], **place, batch=batch)
        if not marked["total"]:  # it was told while we waited for its row
            await self.rows(sql["let_target_go"], **place)
            return None
        counts = await self.rows(sql["batch_counts"], batch=batch)
        runs = await self.rows(sql["batch_runs"], batch=batch, limit=NAMED)
        return Batch(
            id=batch,
            app=app,
            target=target,
            total=marked["total"],
            first_at=marked["first_at"],
            last_at=marked["last_at"],
            counts=[(row["pipeline"], row["state"], row["error_class"], row["n"]) for row in counts],
            runs=[ToldRun(**row) for row in runs],
            tries=taken[0]["tries"],
        )

    async def told(self, batch: Batch, *, every: float) -> None:
        """It was handed over."""
        await self.rows(load("notices")["told"], batch=batch.id, app=batch.app, target=batch.target, every=every)

    async def refused(self, batch: Batch, error: str, *, wait: float) -> None:
        """It could not be handed over."""
        await self.rows(
            load("notices")["refused"], app=batch.app, target=batch.target, error=clean(error)[:1000], wait=wait
        )

    async def waiting_notices(self, app: str) -> Sequence[Waiting]:
        """How it stands with each target."""
        return [Waiting(**row) for row in await self.rows(load("notices")["waiting"], app=app)]

    async def drop_notices(self, app: str, target: str) -> int | None:
        """Forget a target and what waits for it."""
        sql, place = load("notices"), {"app": app, "target": target}
        with translated():
            async with self.pool.connection() as connection:
                known = await connection.execute(sql["drop_target"], place)
                dropped = await connection.execute(sql["drop_notices"], place)
        return dropped.rowcount if known.rowcount or dropped.rowcount else None
