"""A process at work on the memory ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.ledger.encoding import history_of
from penstock.model.attempt import Instant, PlanId, ProcessId, RunId, UnitId
from penstock.model.errors import LeaseLost
from penstock.model.quota import Quota
from penstock.ports.records import (
    AttemptRecord,
    CallRecord,
    Claimed,
    EndRecord,
    History,
    Hold,
    LogRecord,
    Outstanding,
    Refused,
    WaitRecord,
)
from penstock.testing.memory_rows import Attempt, Call, moment

if TYPE_CHECKING:
    from penstock.testing.memory import MemoryLedger


class MemoryWorker:
    """See `ports.ledger.Worker`. Every write is taken at once, in one piece; `kill` makes it a dead process."""

    def __init__(self, ledger: MemoryLedger, app: str, process: ProcessId) -> None:
        self.ledger, self.app, self.process = ledger, app, process
        self._news = asyncio.Event()

    @property
    def lost(self) -> bool:
        """It was killed, or has closed."""
        return not self.ledger.tables.processes[self.process].alive

    def kill(self) -> None:
        """As if the process were gone: nothing that it still writes is taken, another one takes its runs over."""
        self.ledger.tables.processes[self.process].killed = True
        self.news()

    def abandon(self) -> None:
        """Its lease is over: there is no time between the two here."""
        self.kill()

    def news(self) -> None:
        """Let whoever waits in `changed` look again."""
        self._news.set()

    def now(self) -> Instant:
        """The clock."""
        return Instant(self.ledger.tables.clock())

    async def claim(self, count: int, pipelines: Sequence[str]) -> Sequence[Claimed]:
        """Claim up to `count` runs."""
        self._check()
        claimed = self.ledger.movement.claim(self.process, count, self._spaces(pipelines))
        await asyncio.sleep(0)
        return claimed

    async def attempt(self, record: AttemptRecord) -> Instant:
        """Record an ended attempt."""
        movement = self.ledger.movement
        at = movement.attempt(movement.held_by(self.process, record.hold), record)
        await asyncio.sleep(0)
        return at

    def opened(self, record: AttemptRecord) -> None:
        """Record an open attempt, unless it is too late."""
        movement = self.ledger.movement
        try:
            run = movement.held_by(self.process, record.hold)
        except LeaseLost:
            return
        movement.attempt(run, record)

    async def opened_now(self, record: AttemptRecord) -> None:
        """Record an open attempt."""
        await self.attempt(record)

    async def call(self, record: CallRecord) -> None:
        """Record a call."""
        movement = self.ledger.movement
        movement.call(movement.held_by(self.process, record.hold), record)
        await asyncio.sleep(0)

    async def wait(self, record: WaitRecord) -> None:
        """Let a run go."""
        movement = self.ledger.movement
        movement.wait(movement.held_by(self.process, record.hold), record)
        await asyncio.sleep(0)

    async def end(self, record: EndRecord) -> Claimed | None:
        """End a run, and perhaps go on with its lane."""
        movement = self.ledger.movement
        claimed = movement.end(self.process, movement.held_by(self.process, record.hold), record, self.app)
        await asyncio.sleep(0)
        return claimed

    def log(self, record: LogRecord) -> None:
        """Keep what a handler said."""
        self.ledger.tables.logs.append(record)

    def transaction(self, hold: Hold) -> MemoryTransaction:
        """What refuses SQL, and commits the step's record."""
        return MemoryTransaction(self, hold)

    async def history(self, run: RunId) -> History:
        """All that is recorded of the run."""
        found = self.ledger.tables.runs.get(run)
        if found is None:
            return History()
        never = max(found.attempts, default=0) + 1
        order = sorted(found.attempts.values(), key=lambda a: (never if a.ended is None else a.ended, a.seq))
        return history_of([_attempt(row) for row in order], [_call(row) for row in found.calls.values()])

    async def once(self, unit: UnitId, version: str, step: str) -> Mapping[str, str]:
        """What was kept."""
        return dict(self.ledger.tables.onces.get(unit, {}).get((version, step), {}))

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
        """Keep one more, fenced, with the settlement of what it drew."""
        unit, version = slot
        self.ledger.budgets.settle(settled)
        self.ledger.movement.held_by(self.process, hold)
        self.ledger.tables.onces.setdefault(unit, {}).setdefault((version, step), {})[key] = value
        await asyncio.sleep(0)

    async def spend(self, hold: Hold, step: str, draws: Sequence[tuple[Quota, Decimal]]) -> Sequence[int] | Refused:  # noqa: ARG002 - memory shows no draws
        """Draw from quotas."""
        run = self.ledger.movement.held_by(self.process, hold)
        granted = self.ledger.budgets.spend(self.app, run, self.process, draws)
        await asyncio.sleep(0)
        return granted

    async def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """What draws really cost."""
        self.ledger.budgets.settle(settled)
        await asyncio.sleep(0)

    async def living(self) -> int:
        """Processes of this app that are alive."""
        return sum(process.app == self.app and process.alive for process in self.ledger.tables.processes.values())

    async def housekeep(self, pipelines: Sequence[str]) -> float | None:
        """Take over from the dead, promote the due."""
        movement, spaces = self.ledger.movement, self._spaces(pipelines)
        movement.take_over()
        movement.promote(spaces)
        await asyncio.sleep(0)
        return movement.next_due(spaces)

    async def cancelled(self, runs: Sequence[RunId]) -> Sequence[RunId]:
        """Which of these somebody asked to cancel."""
        known = self.ledger.tables.runs
        return [run for run in runs if run in known and known[run].cancel_requested]

    async def outstanding(
        self, pipelines: Sequence[str], plan: PlanId | None = None, *, soon: float = 0.0
    ) -> Outstanding:
        """What is left to do."""
        tables = self.ledger.tables
        mine = elsewhere = deferred = 0
        times: list[float] = []
        for run in tables.active.values():
            if run.pipeline.app != self.app or run.pipeline.name not in pipelines:
                continue
            paused = run.plan.paused or run.pipeline.paused
            due = run.not_before is not None and run.not_before <= self.now() + soon and not paused
            if run.held and not due:
                deferred += 1
                times += [] if run.not_before is None else [run.not_before]
            elif run.process in (None, self.process) or tables.processes[run.process].lost:
                mine += 1
            elif plan in (None, run.plan.id):
                elsewhere += 1
        return Outstanding(open=mine, elsewhere=elsewhere, deferred=deferred, first=moment(min(times, default=None)))

    async def changed(self, timeout: float) -> None:  # noqa: ASYNC109 - a poll, not a limit
        """Wait for news."""
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    async def close(self) -> None:
        """End the lease; what is still held goes back at once."""
        process = self.ledger.tables.processes[self.process]
        if process.alive:
            self.ledger.movement.take_over(own=self.process)
            process.ended = True
        self.ledger.workers.discard(self)

    def _check(self) -> None:
        if self.lost:
            raise LeaseLost("This process has lost its lease; another one goes on.")

    def _spaces(self, pipelines: Sequence[str]) -> set[tuple[str, str]]:
        known = self.ledger.tables.pipelines
        return {known[self.app, name].space for name in pipelines if (self.app, name) in known}


class MemoryTransaction:
    """See `ports.ledger.StepTransaction`; there is no database behind it."""

    def __init__(self, worker: MemoryWorker, hold: Hold) -> None:
        self._worker, self._hold = worker, hold

    @property
    def used(self) -> bool:
        """Never: it cannot be."""
        return False

    async def execute(self, query: str, params: Any = None) -> Any:  # noqa: ARG002 - the port's signature
        """Refused."""
        self._refuse()

    async def connection(self) -> Any:
        """Refused."""
        self._refuse()

    async def session(self) -> Any:
        """Refused."""
        self._refuse()

    async def commit(self, attempt: AttemptRecord | None, calls: Sequence[CallRecord]) -> Instant:
        """Record the step and its calls, if the fence fits."""
        movement = self._worker.ledger.movement
        run = movement.held_by(self._worker.process, self._hold)
        for call in calls:
            movement.call(run, call)
        at = self._worker.now() if attempt is None else movement.attempt(run, attempt)
        await asyncio.sleep(0)
        return at

    async def rollback(self) -> None:
        """Nothing was done."""

    def _refuse(self) -> NoReturn:
        run = self._worker.ledger.tables.runs.get(self._hold.run)
        opened = [a for a in run.attempts.values() if a.state == "open"] if run else []
        step = f"{run.pipeline.name}.{opened[-1].step}" if run and opened else "This step"
        name = opened[-1].step if opened else "step"
        raise AssertionError(
            f"{step} asks for a database, which a Simulation has not: sim.stub({name}, ...), "
            "or test it with penstock.testing.database(app)."
        )


def _attempt(row: Attempt) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "step": row.step,
        "attempt": row.attempt,
        "state": row.state,
        "seconds": 0.0 if row.finished_at is None else row.finished_at - row.started_at,
        "ended_no": row.ended,
        "units_left": row.units_left,
        "units_failed": row.units_failed,
        "error_class": row.error_class,
        "error": row.error,
        "not_before": row.not_before,
        "reason": row.reason,
        "at": row.finished_at,
        "output": row.output,
    }


def _call(row: Call) -> dict[str, Any]:
    return {
        "step": row.step,
        "unit_no": row.unit_no,
        "state": row.state,
        "error_class": row.error_class,
        "error": row.error,
        "not_before": row.not_before,
        "output": row.output,
    }
