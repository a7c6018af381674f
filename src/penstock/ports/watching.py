"""One look at a ledger: what `penstock top` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.ports.records import QuotaUse

COUNTED = 10_000
"""Where counting stops: a number above it means more than that."""
SAMPLE = 2_000
MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineNow:
    """One pipeline: the ends of its last ten minutes (at most 2,000, over `span` seconds), and what waits."""

    app: str
    pipeline: str
    paused: bool
    ended: int
    failed: int
    last_minute: int
    span: float | None
    seconds: float | None
    deferred: int

    @property
    def per_minute(self) -> float:
        """Runs that end in a minute: those of the last one, or the rate of the last 2,000 where these took less."""
        if self.ended >= SAMPLE and self.span and self.span < MINUTE:
            return self.ended * MINUTE / self.span
        return float(self.last_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueNow:
    """Units that wait for their lane, by lane space."""

    app: str
    space: str
    queued: int
    lanes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneNow:
    """A lane that holds a run."""

    app: str
    pipeline: str
    lane: str
    run: int
    units: int
    unit: Mapping[str, Any] | None
    process: int | None
    state: str
    wait_reason: str | None
    not_before: datetime | None
    step: str | None
    attempt: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresNow:
    """The last hour's failures of one class."""

    app: str
    pipeline: str
    error_class: str | None
    runs: int
    last_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessNow:
    """A process, and how many runs it holds."""

    process: int
    app: str
    name: str
    host: str
    pid: int
    state: str
    seconds: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticesNow:
    """What waits to be told to one target."""

    app: str
    target: str
    error: str | None
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaNow(QuotaUse):
    """A quota of any app; it has no window where it is for a run or for all the time. See the view `v1_quotas`."""

    number: int
    app: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """All of it at one moment."""

    at: datetime
    pipelines: Sequence[PipelineNow] = ()
    queues: Sequence[QueueNow] = ()
    lanes: Sequence[LaneNow] = ()
    failures: Sequence[FailuresNow] = ()
    processes: Sequence[ProcessNow] = ()
    notices: Sequence[NoticesNow] = ()
    quotas: tuple[QuotaNow, ...] = ()
