"""How runs move in memory: claimed, recorded, let go, ended, taken over, steered."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence

from penstock.ledger.text import clean, clean_json
from penstock.model.attempt import Instant, PlanId, ProcessId, RunId
from penstock.model.errors import LeaseLost, NotFound
from penstock.planning.memory import Memory, repeat_wait, wait_of
from penstock.ports.records import (
    AttemptRecord,
    CallRecord,
    Claimed,
    EndRecord,
    HeldUnit,
    Hold,
    UnitEnd,
    WaitRecord,
)
from penstock.testing.memory_plans import follow_up
from penstock.testing.memory_quotas import Budgets
from penstock.testing.memory_rows import KIND_RUN, SOON, Attempt, Call, Lane, Run, RunUnit, Tables, credit


class Movement:
    """What PostgreSQL does in functions: each method here is one transaction."""

    def __init__(self, tables: Tables, budgets: Budgets) -> None:
        self.tables, self.budgets = tables, budgets
        self._turn = 0

    def held_by(self, process: ProcessId, hold: Hold) -> Run:
        """The run, if this process may write for it.

        Raises:
            LeaseLost: The lease is over, or the fence does not fit.
        """
        if not self.tables.processes[process].alive:
            raise LeaseLost("This process has lost its lease; another one goes on.")
        lane = self.tables.lanes.get(hold.lane)
        if lane is None or lane.run != hold.run or lane.fence != hold.fence:
            raise LeaseLost(f"Run {hold.run} was taken over; what this process did is not kept.")
        return self.tables.runs[hold.run]

    def claim(self, process: ProcessId, count: int, spaces: Collection[tuple[str, str]]) -> list[Claimed]:
        """The only way into running: the first lanes that are due, and the first run of each."""
        order, self._turn = sorted(spaces), self._turn + 1
        start = self._turn % max(len(order), 1)
        found: list[Claimed] = []
        for space in order[start:] + order[:start]:
            share = -(-count // len(order))
            for lane in self.tables.ready(space, min(share, count - len(found))):
                run = self.tables.runs[lane.run] if lane.run is not None else self.tables.head(lane)
                if run is None:
                    lane.next_at = None
                elif (claimed := self._admitted(process, lane, run)) is not None:
                    found.append(claimed)
        return found

    def _admitted(self, process: ProcessId, lane: Lane, run: Run) -> Claimed | None:
        """Claim the run, unless it does not fit its quota: then it is scheduled for when it may."""
        if self._too_wide(run):
            self._put_aside(lane, run)
            return None
        until = self.budgets.admit(run)
        if until is None:
            return self._take(process, lane, run)
        run.state, run.process, run.held = "scheduled", None, True
        run.not_before, run.wait_reason = until, "quota"
        lane.run = lane.process = None
        lane.fence += 2
        self.tables.due(lane, self.tables.clock() - credit(5))
        return None

    def _too_wide(self, run: Run) -> bool:
        """Whether its plan has as many runs at work as it may."""
        if run.plan.parallel is None or run.cancel_requested:
            return False
        others = (self.tables.runs[number] for number in run.plan.runs if number != run.id)
        return sum(other.state == "running" for other in others) >= run.plan.parallel

    def _put_aside(self, lane: Lane, run: Run) -> None:
        """It stays first in its lane, and the lane sleeps until there is room, or for a while."""
        run.state, run.process, run.not_before, run.wait_reason = "scheduled", None, None, "quota"
        self.tables.offer(run)
        lane.run = lane.process = None
        lane.fence += 2
        lane.narrow = run.plan.id
        self.tables.due(lane, self.tables.clock() + min(600.0, 5.0 + len(run.plan.runs) * 0.01))

    def _take(self, process: ProcessId, lane: Lane, run: Run) -> Claimed:
        run.state, run.process, run.wait_reason, run.not_before = "running", process, None, None
        run.claims += 1
        if run.started_at is None:
            run.started_at = self.tables.clock()
        lane.run, lane.process, lane.next_at = run.id, process, None
        lane.fence += 1
        return self._describe(run)

    def _describe(self, run: Run) -> Claimed:
        return Claimed(
            hold=Hold(run=run.id, lane=run.lane.id, fence=run.lane.fence),
            uuid=self.tables.public(KIND_RUN, run.id),
            pipeline=run.pipeline.name,
            plan=run.plan.id,
            shape=run.shape,
            units=tuple(
                HeldUnit(
                    no=part.no,
                    id=part.unit.id,
                    unit=part.unit.unit,
                    source_version=part.source_version,
                    reason=part.reason,
                    state=part.state,
                )
                for part in run.units.values()
            ),
            params=run.plan.params,
            claims=run.claims,
            started=Instant(run.started_at or 0.0),
            cancel=run.cancel_requested,
            losses=run.losses,
            tries=run.tries,
            copied=run.claims == 1 and bool(run.attempts or run.calls),
        )

    def attempt(self, run: Run, record: AttemptRecord) -> Instant:
        """Record an attempt, opened or ended; one that ended before stays as it is."""
        now = self.tables.clock()
        before = run.attempts.get(record.seq)
        if before is None or before.state == "open":
            told = record.error_class is not None or record.error is not None
            run.attempts[record.seq] = Attempt(
                seq=record.seq,
                step=record.step if before is None else before.step,
                attempt=record.attempt if before is None else before.attempt,
                state=record.state,
                started_at=now - record.elapsed if before is None else before.started_at,
                finished_at=None if record.state == "open" else now,
                ended=record.ended,
                units_left=record.units_left,
                units_failed=record.units_failed,
                error_class=record.error_class,
                error=clean(record.error or "") if told else None,
                not_before=record.not_before,
                reason=record.reason,
                output=None if record.output is None else clean_json(record.output),
            )
        if record.fresh:
            run.losses = 0
        return Instant(now)

    def call(self, run: Run, record: CallRecord) -> None:
        """Record a call; the first record stays."""
        run.calls.setdefault(
            (record.step, record.unit_no),
            Call(
                step=record.step,
                unit_no=record.unit_no,
                state=record.state,
                error_class=record.error_class,
                error=None if record.error is None else clean(record.error),
                not_before=record.not_before,
                output=None if record.output is None else clean_json(record.output),
            ),
        )

    def wait(self, run: Run, record: WaitRecord) -> None:
        """A short wait keeps its lane; a long one frees it and is scheduled again."""
        run.state = "waiting" if record.keep_lane else "scheduled"
        until = self.tables.clock() if run.cancel_requested else record.until
        run.process, run.not_before, run.wait_reason = None, until, record.reason
        self.budgets.release(run)
        lane = run.lane
        lane.process = None
        lane.fence += 1
        if record.keep_lane:
            self.tables.due(lane, SOON if run.cancel_requested else until)
        else:
            lane.run = None
            if run.cancel_requested:  # it does not wait
                run.not_before = None
            else:
                run.held = True
            self.tables.due(lane, self.tables.clock() - credit(5))
        self.tables.make_room(run.plan)

    def end(self, process: ProcessId, run: Run, record: EndRecord, app: str) -> Claimed | None:
        """Units are free and remembered, the lane is free or goes over to its next run."""
        tables, lane, now = self.tables, run.lane, self.tables.clock()
        for unit in record.units:
            self._remember(run, run.units[unit.no], unit)
        run.state, run.finished_at, run.process = record.state, now, process
        if record.error_class is not None:
            run.error_class, run.error = record.error_class, clean(record.error or "")
            run.failed_step = record.failed_step
        tables.active.pop(run.id, None)
        if record.event is not None:
            tables.outbox[uuid.uuid4()] = (app, record.event, now, run.id)
        self.budgets.release(run)
        if record.follow is not None:
            follow_up(tables, run, record.follow)
        run.costs.clear()
        lane.run = lane.process = None
        head = tables.head(lane)
        claimed = None
        if head is not None and record.keep and head.claims == 0:
            claimed = self._admitted(process, lane, head)
        else:
            lane.fence += 1
            lane.next_at = None
            if head is not None:
                tables.due(lane, now - credit(head.rank))
        tables.make_room(run.plan)
        return claimed

    def _remember(self, run: Run, part: RunUnit, end: UnitEnd) -> None:
        unit, now = part.unit, self.tables.clock()
        if end.state is not None:
            part.state, part.error_class, part.error = end.state, end.error_class, clean(end.error or "")
        unit.rev += 1
        unit.last_run, unit.changed_at = run.id, now
        if unit.active == run.id:
            unit.active = None
        unit.alone = unit.alone or end.alone
        if end.verdict == "cancelled":
            return
        if end.verdict == "completed":
            again = unit.completed_at is not None and unit.completed_version == part.source_version
            unit.repeats = unit.repeats + 1 if again else 1
            unit.failures, unit.alone = 0, False
            unit.completed_at, unit.completed_version = now, part.source_version
            wait = min(repeat_wait(unit.repeats), end.limit)
            unit.not_before = now + wait if unit.repeats > 1 and wait > 0 else None
            self.tables.onces.pop(unit.id, None)
        else:
            unit.failures += int(end.counts)
            memory = Memory(end.verdict, first=end.first, limit=end.limit)
            wait = wait_of(memory, unit.failures)
            unit.not_before = end.until if end.until is not None else now + wait if end.first > 0 else None
        unit.verdict, unit.source_version = end.verdict, part.source_version

    def take_over(self, own: ProcessId | None = None) -> int:
        """Frees the lanes of processes that are no more, to the front of the claim; `own` is one that closes."""
        tables = self.tables
        dead = {p.id for p in tables.processes.values() if not (p.lost or p.ended) and (p.killed or p.id == own)}
        for process in dead:
            tables.processes[process].lost = True
        runs = [run for run in tables.active.values() if run.lane.run == run.id and run.lane.process in dead]
        for run in runs:
            run.lane.process, run.process = None, None
            run.lane.fence += 1
            run.losses += 1
            tables.due(run.lane, SOON)
            for attempt in run.attempts.values():
                if attempt.state == "open":
                    attempt.state, attempt.finished_at = "lost", tables.clock()
        return len(runs)

    def promote(self, spaces: Collection[tuple[str, str]]) -> None:
        """Runs whose time has come are heads of their lanes again."""
        for run in self._later(spaces):
            if run.not_before is not None and run.not_before <= self.tables.clock():
                run.not_before = run.wait_reason = None
                self.tables.offer(run)
                self.tables.wake(run.lane)
        for plan in {run.plan.id: run.plan for run in self.tables.active.values()}.values():
            if plan.pipeline.space in spaces:
                self.tables.make_room(plan)

    def next_due(self, spaces: Collection[tuple[str, str]]) -> float | None:
        """Seconds until the next of these runs is due."""
        times = [run.not_before for run in self._later(spaces) if run.not_before is not None]
        return min(times) - self.tables.clock() if times else None

    def _later(self, spaces: Collection[tuple[str, str]]) -> list[Run]:
        return [
            run
            for run in self.tables.active.values()
            if run.state == "scheduled"
            and run.not_before is not None
            and run.pipeline.space in spaces
            and not run.plan.paused
            and not run.pipeline.paused
        ]

    def pause(self, *, plan: PlanId | None, pipeline: tuple[str, str] | None, paused: bool) -> None:
        """Marks a plan or a pipeline, and which of its runs may not start.

        Raises:
            NotFound: There is no such plan or pipeline.
        """
        tables = self.tables
        if plan is not None:
            tables.found_plan(plan).paused = paused
        else:
            row = tables.pipelines.get(pipeline or ("", ""))
            if row is None:
                name = (pipeline or ("", ""))[1]
                raise NotFound(f"There is no pipeline {name} in the ledger; it is there from its first plan on.")
            row.paused = paused
        for run in list(tables.active.values()):
            of_pipeline = pipeline is not None and (run.pipeline.app, run.pipeline.name) == pipeline
            if run.state != "scheduled" or not (run.plan.id == plan or of_pipeline):
                continue
            if run.plan.paused or run.pipeline.paused or run.not_before is not None:
                run.held = True
            else:
                tables.offer(run)
                tables.wake(run.lane)

    def cancel(self, runs: Sequence[RunId]) -> Mapping[RunId, str]:
        """A run that never began ends at once; any other gets the flag and is woken to see it."""
        tables, now = self.tables, self.tables.clock()
        for run in (tables.runs[number] for number in runs if number in tables.active):
            run.cancel_requested = True
            if run.state == "scheduled" and run.claims == 0:
                run.state, run.finished_at = "cancelled", now
                tables.active.pop(run.id)
                for part in run.units.values():
                    part.unit.active = None
                    part.unit.rev += 1
                    part.unit.changed_at = now
            elif run.state == "scheduled":
                run.not_before = None
                tables.offer(run)
                tables.wake(run.lane)
            elif run.state == "waiting":
                tables.due(run.lane, SOON)
        return {number: tables.runs[number].state for number in runs if number in tables.runs}

    def forget(self, app: str, pipeline: str, keys: Sequence[str]) -> int:
        """Zeroes failures and waiting times of units that no run holds."""
        units = [self.tables.unit_of.get((app, pipeline, key)) for key in set(keys)]
        found = [unit for unit in units if unit is not None and unit.active is None]
        for unit in found:
            unit.failures, unit.not_before = 0, None
            unit.rev += 1
        return len(found)
