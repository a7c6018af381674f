"""A process at work: lease, claims, records, history, housekeeping."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from penstock.ledger.connect import KIND_RUN, translated
from penstock.ledger.encoding import history_of
from penstock.ledger.lease import LEASE, Lease, host_name, is_alive
from penstock.ledger.link import PROMPT, answered, prepare_nothing_if_pooled
from penstock.ledger.queries import load
from penstock.ledger.quotas import Draws, settle_on
from penstock.ledger.transaction import PostgresTransaction
from penstock.ledger.writer import GroupWriter, Row
from penstock.model.attempt import Instant, PlanId, ProcessId, RunId, UnitId
from penstock.model.errors import LeaseLost, LedgerUnavailable
from penstock.model.quota import Quota
from penstock.model.shape import Shape
from penstock.model.states import EventType
from penstock.ports.records import (
    AttemptRecord,
    CallRecord,
    Claimed,
    EndRecord,
    HeldUnit,
    History,
    Hold,
    LogRecord,
    Outstanding,
    Refused,
    WaitRecord,
)

if TYPE_CHECKING:
    from penstock.ledger.postgres import PostgresLedger

LOGS = 10_000
"""Log records that may wait; the oldest go first."""
CHANNEL = "penstock"


class PostgresWorker:
    """See `ports.ledger.Worker`."""

    def __init__(self, ledger: PostgresLedger, app: str, process: ProcessId, now: float) -> None:
        self.ledger, self.app, self.process = ledger, app, process
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.draws = Draws(ledger, app, process)
        self._lease = Lease(ledger.url, process, now, self._lose)
        self.writer = GroupWriter(process, self._connect, app, lambda: self._lease.lost)
        self._shapes: dict[int, Shape] = {}
        self._plans: dict[int, tuple[str, str | None, bool]] = {}
        self._spaces: dict[str, tuple[int, int]] = {}
        self._logs: list[LogRecord] = []
        self._dropped = 0
        self._host = host_name()
        self._background = [
            asyncio.create_task(self._listen(), name="penstock-listen"),
            asyncio.create_task(self._flush(), name="penstock-flush"),
        ]
        self._hangs_up = asyncio.create_task(self._hang_up_when_lost(), name="penstock-hang-up")

    @classmethod
    async def open(cls, ledger: PostgresLedger, app: str, name: str, events: Collection[EventType]) -> PostgresWorker:
        """Take a lease."""
        binds = {"app": app, "name": name, "host": host_name(), "pid": os.getpid(), "lease": LEASE}
        rows = await ledger.rows(load("work")["open_process"], **binds, events=sorted(events))
        return cls(ledger, app, ProcessId(rows[0]["process_id"]), rows[0]["now"])

    @property
    def lost(self) -> bool:
        """The lease is over."""
        return self._lease.lost

    def now(self) -> Instant:
        """The ledger's time."""
        return self._lease.now()

    async def claim(self, count: int, pipelines: Sequence[str]) -> Sequence[Claimed]:
        """Claim up to `count` runs."""
        spaces = sorted({space for _, space in (await self._known(pipelines)).values()})
        if not spaces:
            return []
        rows = await self.writer.claim(count, spaces)
        try:
            return [await self._claimed(row) for row in rows]
        except LedgerUnavailable:
            self.writer.forget(rows)
            raise

    async def attempt(self, record: AttemptRecord) -> Instant:
        """Record an ended attempt."""
        return Instant(await self.writer.write(record))

    def opened(self, record: AttemptRecord) -> None:
        """Record an open attempt soon."""
        self.writer.opened(record)

    async def opened_now(self, record: AttemptRecord) -> None:
        """Record an open attempt now."""
        await self.writer.write(record)

    async def call(self, record: CallRecord) -> None:
        """Record a call."""
        await self.writer.write(record)

    async def wait(self, record: WaitRecord) -> None:
        """Let a run go."""
        await self.writer.write(record)

    async def end(self, record: EndRecord) -> Claimed | None:
        """End a run, and perhaps go on with its lane."""
        row: Row | None = await self.writer.write(record)
        if row is None:
            return None
        try:
            return await self._claimed(row)
        except LedgerUnavailable:  # the end itself is on disk
            self.writer.forget([row])
            return None

    def transaction(self, hold: Hold) -> PostgresTransaction:
        """A transaction for a step."""
        return PostgresTransaction(self.ledger.pool, self.process, hold)

    async def history(self, run: RunId) -> History:
        """All that is recorded of the run."""
        sql = load("work")
        return history_of(
            await self.ledger.rows(sql["attempts"], run=run),  # type: ignore[arg-type]
            await self.ledger.rows(sql["calls"], run=run),  # type: ignore[arg-type]
        )

    async def once(self, unit: UnitId, version: str, step: str) -> Mapping[str, str]:
        """What was kept."""
        rows = await self.ledger.rows(load("work")["once"], unit=unit, version=version, step=step)
        return {row["key"]: row["value"] for row in rows}

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
        sql, (unit, version) = load("work"), slot
        with translated():
            async with self.ledger.pool.connection() as connection:
                if settled:  # also when it is too late to keep the value: what was spent is spent
                    await settle_on(connection, settled)
                held = await connection.execute(sql["hold_process"], {"process": self.process})
                kept = (
                    held.rowcount == 1
                    and await (
                        await connection.execute(
                            sql["keep_once"],
                            {
                                "unit": unit,
                                "version": version,
                                "step": step,
                                "key": key,
                                "value": value,
                                "lane": hold.lane,
                                "run": hold.run,
                                "fence": hold.fence,
                            },
                        )
                    ).fetchone()
                )
        if not kept:
            msg = f"Run {hold.run} was taken over; what this process did is not kept."
            raise LeaseLost(msg)

    async def spend(self, hold: Hold, step: str, draws: Sequence[tuple[Quota, Decimal]]) -> Sequence[int] | Refused:
        """Draw from quotas."""
        return await self.draws.spend(hold, step, draws)

    async def settle(self, settled: Sequence[tuple[int, Decimal]]) -> None:
        """What draws really cost."""
        await self.draws.settle(settled)

    async def living(self) -> int:
        """Processes of this app that hold a lease."""
        return await self.draws.living()

    async def housekeep(self, pipelines: Sequence[str]) -> float | None:
        """Take over from the dead, promote the due."""
        sql = load("work")
        self.writer.look_for_strays()
        neighbours = await self.ledger.rows(sql["neighbours"], host=self._host, process=self.process, lease=LEASE)
        dead = [n["process_id"] for n in neighbours if not is_alive(n["pid"], n["silent"])]
        await self.ledger.rows(sql["take_over"], dead=dead)
        spaces = sorted({space for _, space in (await self._known(pipelines)).values()})
        if spaces:
            await self.ledger.rows(sql["promote"], spaces=spaces)
        rows = await self.ledger.rows(sql["next_due"], spaces=spaces)
        due = next(iter(rows[0].values()))
        return None if due is None else float(due)

    async def cancelled(self, runs: Sequence[RunId]) -> Sequence[RunId]:
        """Which of these somebody asked to cancel."""
        rows = await self.ledger.rows(load("work")["cancelled"], runs=list(runs))
        return [RunId(row["run_id"]) for row in rows]

    async def outstanding(
        self, pipelines: Sequence[str], plan: PlanId | None = None, *, soon: float = 0.0
    ) -> Outstanding:
        """What is left to do."""
        ids = [pipeline for pipeline, _ in (await self._known(pipelines)).values()]
        rows = await self.ledger.rows(
            load("work")["outstanding"], pipelines=ids, process=self.process, plan=plan, soon=soon
        )
        return Outstanding(**rows[0])

    async def changed(self, timeout: float) -> None:  # noqa: ASYNC109 - a poll, not a limit
        """Wait for news."""
        try:
            async with asyncio.timeout(max(0.0, timeout)):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    def log(self, record: LogRecord) -> None:
        """Keep what a handler said."""
        if len(self._logs) >= LOGS:
            del self._logs[0]
            self._dropped += 1
        self._logs.append(record)

    async def close(self) -> None:
        """Flush and end the lease; what is still held goes back at once."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        try:
            await self.writer.close()
            await self._write_logs()
            self._lease.close()
            over = self.lost
            # Also when it is lost by our own clock only: nobody need wait for its end.
            await self.ledger.rows(load("work")["take_over"], dead=[self.process])
            if not over:
                await self.ledger.rows(load("work")["close_process"], process=self.process)
        except LedgerUnavailable as error:
            structlog.get_logger("penstock").warning("lease left to run out", reason=str(error))
        finally:
            self._lease.close()
            self._hangs_up.cancel()
            await asyncio.gather(self._hangs_up, return_exceptions=True)

    def abandon(self) -> None:
        """Let the lease run out."""
        self._lease.abandon()

    def _lose(self) -> None:
        self._loop.call_soon_threadsafe(self._news.set)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(
            self.ledger.url, autocommit=True, application_name="penstock writer"
        )
        try:
            with answered(connection, PROMPT):
                await prepare_nothing_if_pooled(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _known(self, pipelines: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Name → (pipeline, space) of those that were ever planned; looked up again while one is missing."""
        if any(name not in self._spaces for name in pipelines):
            rows = await self.ledger.rows(load("work")["spaces"], app=self.app, pipelines=list(pipelines))
            self._spaces.update({row["name"]: (row["pipeline_id"], row["space_id"]) for row in rows})
        return {name: self._spaces[name] for name in pipelines if name in self._spaces}

    async def _claimed(self, row: Row) -> Claimed:
        _, run, lane, fence, info = row
        shape = self._shapes.get(info["shape"])
        if shape is None:
            found = await self.ledger.rows(load("work")["shape"], shape=info["shape"])
            shape = self._shapes[info["shape"]] = Shape.from_json(found[0]["body"])
        plan = self._plans.get(info["plan"])
        if plan is None:
            facts = (await self.ledger.rows(load("work")["plan_facts"], plan=info["plan"]))[0]
            params = None if facts["params"] is None else json.dumps(facts["params"])
            plan = self._plans[info["plan"]] = (facts["pipeline"], params, facts["forced"])
        return Claimed(
            hold=Hold(run=RunId(run), lane=lane, fence=fence),
            uuid=self.ledger.public(KIND_RUN, run),
            pipeline=plan[0],
            plan=PlanId(info["plan"]),
            shape=shape,
            units=tuple(
                HeldUnit(no=no, id=UnitId(unit_id), unit=unit, source_version=version, reason=reason, state=state)
                for no, unit_id, unit, version, reason, state in info["units"]
            ),
            params=plan[1],
            claims=info["claims"],
            started=Instant(info["started"]),
            cancel=info["cancel"],
            losses=info["losses"],
            tries=info["tries"],
            copied=info["copied"],
        )

    async def _listen(self) -> None:
        """News from other processes; without it (a pooler, a broken connection) waiters poll."""
        while not self.lost:
            try:
                async with await self._connect() as connection:
                    if connection.prepare_threshold is None:
                        return  # a pooler keeps news from us
                    await connection.execute(f"listen {CHANNEL}")
                    async for _ in connection.notifies():
                        self._news.set()
            except psycopg.Error:
                await asyncio.sleep(2)

    async def _hang_up_when_lost(self) -> None:
        """Who waits for an answer that may never come would keep this process from beginning anew."""
        while True:
            await asyncio.sleep(0.2)
            if self._lease.silent:  # else the lines are good, and others on this ledger may be asking on them
                self.writer.hang_up()
                self.ledger.hang_up()

    async def _flush(self) -> None:
        """Open attempts and logs do not wait for company for ever."""
        while True:
            await asyncio.sleep(0.2)
            self.writer.nudge()
            if self.lost:
                self._news.set()
            try:
                await self._write_logs()
            except LedgerUnavailable:
                await asyncio.sleep(2)  # they stay queued

    async def _write_logs(self) -> None:
        if self._logs:
            records, self._logs = self._logs, []
            try:
                await self.ledger.insert_logs(records, self._dropped)
            except LedgerUnavailable:
                self._logs = records + self._logs
                raise
            self._dropped = 0
