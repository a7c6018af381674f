"""Telling people: where notices wait, and who hands them over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from penstock.model.attempt import RunEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRun:
    """One run that a message names."""

    number: int
    pipeline: str
    state: str
    unit: Mapping[str, Any]
    units: int
    error_class: str | None = None
    error: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """All that waits for one target: counts of (pipeline, end, class), and the first runs. `tries` failed before."""

    id: UUID
    app: str
    target: str
    total: int
    first_at: datetime
    last_at: datetime
    counts: Sequence[tuple[str, str, str | None, int]] = ()
    runs: Sequence[ToldRun] = ()
    tries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How it stands with one target."""

    target: str
    waiting: int
    oldest: datetime | None = None
    sent_at: datetime | None = None
    tries: int = 0
    error: str | None = None
    next_at: datetime | None = field(default=None)


class NoticeStore(Protocol):
    """Where notices wait until they are told. Every method raises LedgerUnavailable when it cannot answer."""

    async def collect_notices(self, app: str, targets: Collection[str], ends: Collection[RunEnd]) -> int:
        """Take new ends of runs from the log of events, once for each target; returns how many are to be told.

        In one transaction with the place up to which the log was read. Left out are runs whose failed units all go on
        in another run by the policy of their class: that one is told, if it fails too.
        """
        ...

    async def take_batch(
        self, app: str, target: str, *, collect: float, lease: float, whole: bool = False
    ) -> Batch | None:
        """All that waits for this target, if it is due and nobody else tells it; for `lease` seconds nobody will.

        Due is what has waited `collect` seconds, and with `whole` all. A target that refused is not due before its
        time, whatever was asked.
        """
        ...

    async def told(self, batch: Batch, *, every: float) -> None:
        """It was handed over: it waits no more, and the next message may go in `every` seconds."""
        ...

    async def refused(self, batch: Batch, error: str, *, wait: float) -> None:
        """It could not be handed over: it stays, and is tried again in `wait` seconds by whoever lives then."""
        ...

    async def waiting_notices(self, app: str) -> Sequence[Waiting]:
        """How it stands with each target that was ever to be told."""
        ...

    async def drop_notices(self, app: str, target: str) -> int | None:
        """Forget a target and what waits for it; returns how many notices, or None where it is not known."""
        ...


class Sender(Protocol):
    """Hands one message over."""

    async def send(self, target: str, title: str, body: str) -> None:
        """Hand it over; returns when the other side has it.

        Raises:
            NotDelivered: It has not, or may not have; the message says why and holds no secret.
        """
        ...
