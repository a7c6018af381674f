"""The ledger, as the operations and the engines see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from penstock.model.attempt import Instant, PlanId, RunId, UnitId
from penstock.model.override import Override
from penstock.model.quota import Quota
from penstock.model.states import EventType
from penstock.ports.events import LoggedEvent
from penstock.ports.records import (
    Applied,
    AttemptRecord,
    CallRecord,
    Claimed,
    EndRecord,
    History,
    Hold,
    LogRecord,
    Outstanding,
    PlanQuery,
    QuotaUse,
    Refused,
    StoredGap,
    StoredPlan,
    StoredRun,
    WaitRecord,
)


class StepTransaction(Protocol):
    """One step's transaction in the ledger's database, opened at its first use."""

    @property
    def used(self) -> bool:
        """Whether anything was done in it; an unused one has nothing to commit."""
        ...

    async def execute(self, query: str, params: Any = None) -> Any:
        """Run one statement in it."""
        ...

    async def connection(self) -> Any:
        """The driver's connection."""
        ...

    async def session(self) -> Any:
        """A SQLAlchemy session on it."""
        ...

    async def commit(self, attempt: AttemptRecord | None, calls: Sequence[CallRecord]) -> Instant:
        """Commit together with the step's record; returns the recorded time.

        Raises:
            LeaseLost: The fence does not fit any more; all of it is rolled back.
            LedgerUnavailable: The connection broke. Whether it was committed is not known: read the history.
        """
        ...

    async def rollback(self) -> None:
        """Forget all of it; safe to call at any time and more than once."""
        ...


class Worker(Protocol):
    """A process at work: it holds a lease, claims runs and writes their records.

    Every write is on disk when the call returns. A write whose fence does not fit raises LeaseLost, alone; writes of
    other runs are not hurt. After `lost` is set nothing is written any more.
    """

    @property
    def lost(self) -> bool:
        """The lease is over, or cannot be renewed in time."""
        ...

    def abandon(self) -> None:
        """Renew the lease no more, from any thread: this process is alive and cannot go on. It is `lost` at once."""
        ...

    async def claim(self, count: int, pipelines: Sequence[str]) -> Sequence[Claimed]:
        """Up to `count` runs that are due, one per lane, lanes in the order in which they became ready."""
        ...

    async def attempt(self, record: AttemptRecord) -> Instant:
        """Record an ended attempt; returns the recorded time, the ledger's."""
        ...

    def opened(self, record: AttemptRecord) -> None:
        """Record an open attempt with the next group; not awaited, and left out when it has ended before."""
        ...

    async def opened_now(self, record: AttemptRecord) -> None:
        """Record an open attempt, on disk when this returns."""
        ...

    async def call(self, record: CallRecord) -> None:
        """Record what a step came to for one unit of a batch."""
        ...

    async def wait(self, record: WaitRecord) -> None:
        """Let a run go until later."""
        ...

    async def end(self, record: EndRecord) -> Claimed | None:
        """End a run; with `keep`, returns the lane's next run, claimed in the same commit."""
        ...

    def log(self, record: LogRecord) -> None:
        """Keep what a handler said, with the next group; the oldest are dropped and counted when too many wait."""
        ...

    def transaction(self, hold: Hold) -> StepTransaction:
        """A transaction for a step of this run."""
        ...

    async def history(self, run: RunId) -> History:
        """All that is recorded of the run."""
        ...

    async def once(self, unit: UnitId, version: str, step: str) -> Mapping[str, str]:
        """What `ctx.once` kept for this unit and step: JSON text by key."""
        ...

    async def keep_once(
        self,
        hold: Hold,
        slot: tuple[UnitId, str],
        step: str,
        key: str,
        value: str,
        *,
        settled: Sequence[tuple[int, Decimal]] = (),
    ) -> None:
        """Keep one more for (unit, version), with what its draws really cost; on disk when this returns, fenced."""
        ...

    async def spend(self, hold: Hold, step: str, draws: Sequence[tuple[Quota, Decimal]]) -> Sequence[int] | Refused:
        """Draw from all of these quotas or from none; on disk when this returns, fenced.

        Returns:
            The draws' numbers in the same order, or which quota has no room for it.
        """
        ...

    async def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """What draws really cost. Not fenced: what was spent is spent, whoever tells."""
        ...

    async def living(self) -> int:
        """How many processes of this app hold a lease, this one included: rates are shared out among them."""
        ...

    async def housekeep(self, pipelines: Sequence[str]) -> float | None:
        """Take over from dead processes and promote what has become due.

        Returns:
            Seconds until the next scheduled run of these pipelines is due, or None.
        """
        ...

    async def cancelled(self, runs: Sequence[RunId]) -> Sequence[RunId]:
        """Which of these runs somebody asked to cancel."""
        ...

    async def outstanding(
        self, pipelines: Sequence[str], plan: PlanId | None = None, *, soon: float = 0.0
    ) -> Outstanding:
        """What is left to do in these pipelines, by whose it is.

        `elsewhere` counts only this plan's runs, if it is given. What is due within `soon` seconds is not deferred.
        """
        ...

    async def changed(self, timeout: float) -> None:  # noqa: ASYNC109 - a poll, not a limit
        """Return when there may be news (work, a cancel), or after `timeout` seconds."""
        ...

    def now(self) -> Instant:
        """The ledger's time, as near as this process knows it."""
        ...

    async def close(self) -> None:
        """Flush, end the lease, and free what is left. Runs still held are taken over at once."""
        ...


class Ledger(Protocol):
    """All that is stored, planned, read and steered. Every method raises LedgerUnavailable when it cannot answer."""

    async def plan(self, query: PlanQuery) -> StoredPlan:
        """Find the gaps, in order, and store them as an open plan.

        Raises:
            DefinitionError: The SQL does not select a field, gives a unit twice, or a key that is null.
        """
        ...

    async def stored_plan(self, plan: PlanId) -> StoredPlan:
        """The plan.

        Raises:
            NotFound: There is none.
        """
        ...

    async def gaps(self, plan: PlanId, after: int, limit: int) -> Sequence[StoredGap]:
        """A page of an open plan's gaps whose position is above `after`."""
        ...

    async def apply(
        self, plan: PlanId, *, triggered_by: str, copy_from: RunId | None = None, parallel: int | None = None
    ) -> Applied:
        """Make runs of an open plan; a second time it answers with what the first did.

        With `parallel`, no more of its runs than these are at work at once, whoever carries them.

        With `copy_from`, a plan of one run takes over the completed steps of that run, if units, versions and shape
        are the same.

        Raises:
            Conflict: The plan was discarded.
        """
        ...

    async def discard(self, plan: PlanId) -> None:
        """Forget an open plan's gaps.

        Raises:
            Conflict: It is applied already.
        """
        ...

    async def pause(self, *, plan: PlanId | None = None, pipeline: tuple[str, str] | None = None, paused: bool) -> None:
        """No further run of the plan or of the pipeline (app, name) starts; or they do again."""
        ...

    async def cancel(self, *, run: RunId | None = None, plan: PlanId | None = None) -> Mapping[RunId, str]:
        """Ask to cancel a run, or all live runs of a plan; returns the state of each after that."""
        ...

    async def forget(self, app: str, pipeline: str, keys: Sequence[str]) -> int:
        """Zero failures and waiting times of these units, so that they are gaps at once; returns how many."""
        ...

    async def overrides(self, app: str) -> Sequence[Override]:
        """What is set instead of the code's figures, for the whole app first; as it was written, right or wrong."""
        ...

    async def set_override(self, override: Override) -> None:
        """Set it, in the place of one of the same app, pipeline and name."""
        ...

    async def unset_override(self, app: str, pipeline: str | None, name: str) -> bool:
        """Take it away; whether it was there."""
        ...

    async def run(self, run: RunId) -> StoredRun:
        """The run with its steps.

        Raises:
            NotFound: There is none.
        """
        ...

    async def runs(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        plan: PlanId | None = None,
        ids: Sequence[RunId] | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        key: str | None = None,
        before: RunId | None = None,
        limit: int = 50,
    ) -> Sequence[StoredRun]:
        """Runs, newest first, without their steps."""
        ...

    async def tally(self, plan: PlanId) -> Mapping[str, int]:
        """The plan's runs by state."""
        ...

    async def followed_up(self, plan: PlanId) -> Sequence[RunId]:
        """The plan's runs whose failed units went into a run of their own: that one tells how they ended."""
        ...

    async def units(
        self, *, app: str, pipeline: str, verdicts: Sequence[str] = (), after: int | None = None, limit: int = 50
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_units` in order of number, those above `after`."""
        ...

    async def unit(self, *, app: str, pipeline: str, key: str) -> Mapping[str, Any] | None:
        """The row of `v1_units` for this key, or None when the ledger never saw it."""
        ...

    async def logs(self, run: RunId, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_logs` in order."""
        ...

    async def logged_events(
        self, app: str, *, after: int = 0, types: Collection[str] = (), run: RunId | None = None, limit: int = 100
    ) -> Sequence[LoggedEvent]:
        """Events of the app after this position in its log, oldest first."""
        ...

    async def health(self, app: str) -> Mapping[str, Any]:
        """Server, schema, processes, live runs, last plan."""
        ...

    async def presence(self, query: PlanQuery, key: str) -> Mapping[str, Any]:
        """Whether SQL wants this key and has it now: `wanted` and `existing`, each with its `version`, or None."""
        ...

    async def unfinished(self, run: RunId) -> Sequence[Mapping[str, Any]]:
        """The units of an ended run that did not complete, as JSON objects."""
        ...

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """A connection of the pool, committed when the block ends well."""
        ...

    async def quotas(self, app: str) -> Sequence[QuotaUse]:
        """Every quota of the app that was ever planned with or drawn from, in its present window, by name."""
        ...

    async def make_room(self, size: int) -> None:
        """Let so many connections be used at once, as far as the server can bear it."""
        ...

    async def open_worker(self, app: str, name: str, events: Collection[EventType] = ()) -> Worker:
        """Take a lease for this process. Of `events`, what happens in it is told to the outbox."""
        ...

    def run_id(self, uuid: UUID) -> RunId:
        """The run behind a public id.

        Raises:
            NotFound: It is not one of this ledger's.
        """
        ...

    def plan_id(self, uuid: UUID) -> PlanId:
        """The plan behind a public id.

        Raises:
            NotFound: It is not one of this ledger's.
        """
        ...
