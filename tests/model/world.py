"""Two engines' worth of workers on one ledger, what each holds, and all that people and misfortune do to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.prune import prune
from penstock.ledger.worker import PostgresWorker
from penstock.model.attempt import Instant, PlanId, RunEnd, RunId
from penstock.model.errors import Conflict, LeaseLost
from penstock.model.quota import Quota
from penstock.model.states import LIVE, ErrorClass, Verdict
from penstock.planning.memory import remember
from penstock.ports.records import Claimed, EndRecord, FollowUp, History, RecordedAttempt, Refused, UnitEnd, WaitRecord
from penstock.testing.contracts.ledger_case import APP, called, key, listed, query, tried
from tests.model.watching import TERMINAL, Watch

PIPELINES = {"letters": "letters", "parcels": "post", "stamps": "post"}
"""Each with its lane space; two share one."""
NO_PROCESS = 2**31 - 1
HOUR = 3_600.0
DAY_LONG = 24 * HOUR
TABLES = (
    "runs", "run_units", "attempts", "calls", "active", "lanes", "units", "plans", "plan_items", "shapes", "pipelines",
    "spaces", "processes", "onces", "logs", "outbox", "events", "event_logs", "event_readers",
    "quota_draws", "run_costs", "quota_windows", "quotas",
)  # fmt: skip
ASSETS = "create table if not exists made (run_id bigint, seq int)"
LATER = """
with w as (update penstock.quota_windows set starts_at = starts_at - %(turned)s, ends_at = ends_at - %(turned)s),
  d as (update penstock.quota_draws set starts_at = starts_at - %(turned)s),
  c as (update penstock.run_costs set starts_at = starts_at - %(turned)s),
  r as (
    update penstock.runs set not_before = not_before - %(by)s where state in ('scheduled', 'running', 'waiting')),
  u as (update penstock.units set not_before = not_before - %(by)s)
update penstock.lanes set next_at = next_at - %(by)s where next_at is not null
"""
USED = """
select w.* from penstock.quota_windows w join penstock.quotas q using (quota_id) where q.per is not null and w.used <> (
  select coalesce(sum(coalesce(d.settled, d.amount)), 0) from penstock.quota_draws d
  where d.quota_id = w.quota_id and d.scope = w.scope and d.starts_at = w.starts_at)
"""
DAY = Quota("usd", 6, per="day", reserve=2)
QUOTAS = (DAY, Quota("usd_a_run", 3, per="run"), Quota("rooms", 2, per=None))
FITS = """
select 1 from penstock.lanes l join penstock.processes p on p.process_id = %(process)s and p.lost_at is null
  and p.ended_at is null where l.lane_id = %(lane)s and l.run_id = %(run)s and l.fence = %(fence)s
"""


@dataclass
class Process:
    """One worker and the runs that it believes it holds."""

    worker: PostgresWorker
    held: dict[RunId, Claimed] = field(default_factory=dict[RunId, Claimed])
    crashed: bool = False


class World:
    """One ledger. Each method is one thing that happens; the ledger is looked at after each."""

    def __init__(self, ledger: PostgresLedger, watch: Watch) -> None:
        self.ledger, self.watch = ledger, watch
        self.processes: list[Process] = []
        self.zombies: list[tuple[Process, Claimed]] = []
        self.plans: list[PlanId] = []
        self.events: list[RunId] = []
        self.draws: list[tuple[int, Decimal]] = []
        self.pruned = False
        self._turns = 0

    @property
    def alive(self) -> list[Process]:
        return [process for process in self.processes if not process.crashed]

    @property
    def holding(self) -> list[tuple[Process, Claimed]]:
        return [(process, run) for process in self.alive for run in process.held.values()]

    def empty(self) -> None:
        """A new ledger."""
        self.watch.connection.execute(ASSETS.encode())
        for table in TABLES:
            self.watch.connection.execute(f"delete from penstock.{table}".encode())
        self.watch.connection.execute(b"delete from made")
        self.watch.connection.execute("select penstock.register_readers(%s, '{model}')", [APP])
        self.watch.forget()

    def runs(self, *states: str) -> list[RunId]:
        """Runs in these states, in order."""
        rows = self.watch.rows(
            "select run_id from penstock.runs where state = any(%(states)s) order by run_id", states=list(states)
        )
        return [RunId(row["run_id"]) for row in rows]

    def check(self, *, pruned: bool = False) -> None:
        """What the ledger says is right, and is what the processes believe."""
        self.watch.look(pruned=pruned)
        for process in self.alive:
            rows = self.watch.rows(
                "select run_id, lane_id, fence from penstock.lanes where process_id = %(p)s", p=process.worker.process
            )
            said = {(row["run_id"], row["lane_id"], row["fence"]) for row in rows}
            held = {(run.hold.run, run.hold.lane, run.hold.fence) for run in process.held.values()}
            assert said == held, ("the ledger and a process agree on what it holds", said, held)
        rows = self.watch.rows(
            "select run_id from penstock.outbox union all select run_id from penstock.events e where e.position >"
            " coalesce((select r.position from penstock.event_readers r where r.name = 'model' and r.app = e.app), 0)"
        )
        assert sorted(row["run_id"] for row in rows) == sorted(self.events), "each event is told once"
        if not self.pruned:
            assert self.watch.rows(USED) == [], "what is used is what was drawn"

    # Processes

    async def open(self) -> None:
        worker = await self.ledger.open_worker(APP, "model")
        assert isinstance(worker, PostgresWorker)
        self.processes.append(Process(worker))

    async def crash(self, process: Process) -> None:
        """It goes silent where it stands; its neighbours find that no such process runs."""
        self.watch.rows(
            "update penstock.processes set pid = %(pid)s where process_id = %(process)s returning 1",
            pid=NO_PROCESS, process=process.worker.process,
        )  # fmt: skip
        process.crashed = True
        self.zombies += [(process, run) for run in process.held.values()]
        process.held = {}

    async def leave(self, process: Process) -> None:
        """It ends as it should: what it holds goes back at once."""
        self.processes.remove(process)
        await process.worker.close()

    async def housekeep(self, process: Process) -> None:
        await process.worker.housekeep(list(PIPELINES))
        rows = self.watch.rows("select process_id from penstock.processes where lost_at is null and ended_at is null")
        dead = {p.worker.process for p in self.processes if p.crashed}
        assert not dead & {row["process_id"] for row in rows}, "the dead are found"

    async def claim(self, process: Process, count: int, pipelines: Sequence[str]) -> None:
        for run in await process.worker.claim(count, pipelines):
            self._take(process, run)

    def _take(self, process: Process, run: Claimed) -> None:
        units = {unit.id for unit in run.units}
        for _, other in self.holding:
            assert other.hold.lane != run.hold.lane, "a lane has one run"
            assert not units & {unit.id for unit in other.units}, "a unit is in one run"
        process.held[run.hold.run] = run

    def _drop(self, process: Process, run: Claimed) -> None:
        del process.held[run.hold.run]
        self.zombies.append((process, run))

    # Plans

    async def plan(self, asked: dict[str, Any]) -> None:
        plan = await self.ledger.plan(query(space=PIPELINES[asked["pipeline"]], **asked))
        self.plans.append(plan.id)

    async def apply(self, plan: PlanId, copy_from: RunId | None = None) -> None:
        """The second time it answers as the first."""
        try:
            items = sum(1 for gap in await self.ledger.gaps(plan, 0, 999) if gap.deferred_by is None)
            first = await self.ledger.apply(plan, triggered_by="model", copy_from=copy_from)
        except Conflict:
            return
        assert await self.ledger.apply(plan, triggered_by="model") == first
        if items:
            rows = self.watch.rows(
                "select coalesce(sum(units), 0)::int as n from penstock.runs where plan_id = %(p)s", p=plan
            )
            assert rows[0]["n"] + sum(first.dropped.values()) == items, "each gap is in a run or told as dropped"

    async def discard(self, plan: PlanId) -> None:
        try:
            await self.ledger.discard(plan)
        except Conflict:
            rows = self.watch.rows("select state from penstock.plans where plan_id = %(plan)s", plan=plan)
            assert rows[0]["state"] == "applied"

    async def retry(self, run: RunId) -> None:
        """As the client does it: forgotten, planned by force at top priority, applied with what it completed."""
        units = [dict(unit)["name"] for unit in await self.ledger.unfinished(run)]
        if not units:
            return
        pipeline = (await self.ledger.run(run)).pipeline
        await self.ledger.forget(APP, pipeline, [key(name) for name in units])
        wanted = [listed(name) for name in units]
        await self.plan({"pipeline": pipeline, "wanted": wanted, "forced": True, "one_run": True, "priority": 5})
        await self.apply(self.plans[-1], copy_from=run)

    async def pause(self, *, plan: PlanId | None, pipeline: str | None, paused: bool) -> None:
        if plan is not None:
            await self.ledger.pause(plan=plan, paused=paused)
        elif self.watch.rows("select 1 from penstock.pipelines where name = %(name)s", name=pipeline):
            await self.ledger.pause(pipeline=(APP, str(pipeline)), paused=paused)

    async def deliver(self) -> None:
        place: Any = {"app": APP, "reader": "model", "owner": UUID(int=1)}
        taken = await self.ledger.take_events(**place, types=None, lease=60.0, limit=1)
        if taken is not None:
            assert await self.ledger.events_told(**place, through=taken.through)
            for event in taken.events:
                self.events.remove(event.run_id)

    async def prune(self, *, keep_failed: bool) -> None:
        self.pruned = True
        before = self.watch.rows("select count(*) as n from penstock.units")[0]["n"]
        await asyncio.to_thread(prune, self.ledger.url, timedelta(0), keep_failed=keep_failed)
        assert self.watch.rows("select count(*) as n from penstock.units")[0]["n"] == before
        rows = self.watch.rows("select plan_id from penstock.plans")
        self.plans = [plan for plan in self.plans if plan in {row["plan_id"] for row in rows}]

    def later(self, seconds: float) -> None:
        """Time passes: everything that waits for a time comes nearer to it, and after a day all windows are over."""
        self._turns += 1  # no two windows may come to begin at the same time
        turned = timedelta(seconds=seconds, microseconds=self._turns) if seconds >= DAY_LONG else timedelta(0)
        self.watch.rows(LATER + " returning 1", by=timedelta(seconds=seconds), turned=turned)
        self.watch.take()

    # Work

    async def attempt(self, process: Process, run: Claimed, *, state: Any, step: str) -> None:
        """Opens one, or ends the open one."""
        history = await process.worker.history(run.hold.run)
        opened = next((a for a in history.attempts if a.state == "open"), None)
        seq = opened.seq if opened else len(history.attempts) + 1
        if opened is not None:
            step, state = opened.step, "done" if state == "open" else state
        record = tried(run, seq, step, state, **({} if state == "open" else {"ended": _ended(history) + 1}))
        if state == "open":
            await process.worker.opened_now(record)
        elif step == "write" and state == "done":
            transaction = process.worker.transaction(run.hold)
            try:
                await transaction.execute("insert into made (run_id, seq) values (%s, %s)", (run.hold.run, seq))
                await transaction.commit(record, [])
            except LeaseLost:
                assert not transaction.used
                raise
        else:
            await process.worker.attempt(record)

    async def end(
        self,
        process: Process,
        run: Claimed,
        *,
        state: RunEnd,
        error: ErrorClass,
        keep: bool,
        follow: float | None,
        event: bool,
    ) -> None:
        await self._close_attempts(process, run)
        memory = remember(state, error if state == "failed" else None)
        verdict: Verdict = memory.verdict
        units = tuple(
            UnitEnd(no=u.no, verdict=verdict, counts=memory.counts, first=memory.first, limit=memory.limit)
            for u in run.units
        )
        again = None
        if follow is not None and state in ("partial", "failed"):
            until = Instant(process.worker.now() + follow)
            again = FollowUp(units=(run.units[-1].no,), until=until, tries=run.tries + 1)
        record = EndRecord(
            hold=run.hold, state=state, units=units, error_class=error if state == "failed" else None, keep=keep,
            follow=again, event="execution.completed" if event else None,
        )  # fmt: skip
        following = await process.worker.end(record)
        process.held.pop(run.hold.run, None)
        self.zombies.append((process, run))
        if event:
            self.events.append(run.hold.run)
        if following is not None:
            assert keep
            assert following.hold.lane == run.hold.lane
            self._take(process, following)

    async def wait(self, process: Process, run: Claimed, *, seconds: float, keep_lane: bool) -> None:
        await self._close_attempts(process, run)
        until = Instant(process.worker.now() + seconds)
        await process.worker.wait(WaitRecord(hold=run.hold, until=until, reason="backoff", keep_lane=keep_lane))
        process.held.pop(run.hold.run, None)
        self.zombies.append((process, run))

    async def call(self, process: Process, run: Claimed, unit: int) -> None:
        await process.worker.call(called(run, unit % len(run.units), "write"))

    async def once(self, process: Process, run: Claimed, name: str) -> None:
        unit = run.units[0]
        await process.worker.keep_once(run.hold, (unit.id, unit.source_version or ""), "read", name, "1")
        assert name in await process.worker.once(unit.id, unit.source_version or "", "read")

    async def spend(self, process: Process, run: Claimed, amounts: Sequence[int]) -> None:
        """From all that are asked for, or from none."""
        draws = [(quota, Decimal(amount)) for quota, amount in zip(QUOTAS, amounts, strict=True) if amount]
        before = self.watch.rows("select count(*) as n from penstock.quota_draws")[0]["n"]
        granted = await process.worker.spend(run.hold, "write", draws)
        now = self.watch.rows("select count(*) as n from penstock.quota_draws")[0]["n"]
        if isinstance(granted, Refused):
            assert now == before
            assert granted.free < max(amount for _, amount in draws)
        else:
            assert now == before + len(draws)
            self.draws += [(draw, amount) for draw, (_, amount) in zip(granted, draws, strict=True)]

    async def settle(self, process: Process, place: int, part: Decimal) -> None:
        """At what it cost, which is never more than its worst case; the second time says nothing new."""
        draw, amount = self.draws.pop(place % len(self.draws))
        await process.worker.settle([(draw, amount * part)])
        await process.worker.settle([(draw, amount)])

    async def zombie(self, place: int, what: str, state: RunEnd) -> None:
        """A write of who held a run once counts if it still does by the ledger, and else is refused."""
        process, run = self.zombies.pop(place)
        binds = {"process": process.worker.process, "lane": run.hold.lane, "run": run.hold.run, "fence": run.hold.fence}
        fits = bool(self.watch.rows(FITS, **binds))
        try:
            match what:
                case "attempt":
                    await self.attempt(process, run, state="done", step="read")
                case "transaction":
                    await self.attempt(process, run, state="done", step="write")
                case "spend":
                    await self.spend(process, run, (1, 0, 0))
                case "once":
                    await self.once(process, run, "late")
                case "wait":
                    await self.wait(process, run, seconds=HOUR, keep_lane=False)
                case _:
                    await self.end(process, run, state=state, error="data", keep=True, follow=None, event=True)
        except LeaseLost:
            assert not fits, (what, "was refused to who holds the run", run.hold)
        else:
            assert fits, (what, "was taken from who holds the run no more", run.hold)

    async def _close_attempts(self, process: Process, run: Claimed) -> None:
        """As the executor does before its run goes."""
        history = await process.worker.history(run.hold.run)
        for attempt in history.attempts:
            if attempt.state == "open":
                await process.worker.attempt(
                    tried(run, attempt.seq, attempt.step, "cancelled", ended=_ended(history) + 1)
                )

    async def finish(self) -> None:
        """Nothing is lost: when all is resumed and time passes, every run comes to its end."""
        for plan in self.watch.rows("select plan_id from penstock.plans where paused"):
            await self.ledger.pause(plan=PlanId(plan["plan_id"]), paused=False)
        for row in self.watch.rows("select name from penstock.pipelines where paused"):
            await self.ledger.pause(pipeline=(APP, row["name"]), paused=False)
        await self.open()
        last = self.processes[-1]
        for _ in range(300):
            self.later(25 * HOUR)
            await self.housekeep(last)
            await self.claim(last, 100, list(PIPELINES))
            self.check()
            if not self.runs(*LIVE):
                break
            for process, run in self.holding:
                await self.end(process, run, state="completed", error="data", keep=False, follow=None, event=False)
        self.check()
        left = self.watch.rows("select * from penstock.v1_runs where state <> all(%(over)s)", over=sorted(TERMINAL))
        assert left == [], ("what is never claimed", left)
        assert self.watch.rows("select 1 from penstock.active") == []
        outstanding = await last.worker.outstanding(list(PIPELINES))
        assert (outstanding.open, outstanding.elsewhere, outstanding.deferred) == (0, 0, 0)
        assert not LIVE & {run.state for run in await self.ledger.runs(app=APP, limit=999)}

    async def close(self) -> None:
        for process in self.processes:
            await process.worker.close()


def _ended(history: History) -> int:
    """Outcomes recorded so far, by the number of the last."""
    return sum(1 for attempt in history.attempts if _over(attempt))


def _over(attempt: RecordedAttempt) -> bool:
    return attempt.state not in ("open", "lost")
