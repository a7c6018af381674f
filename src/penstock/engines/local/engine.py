"""The local engine: claims runs, drives each in a task of its own, and goes when nothing is left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast
from uuid import uuid4

import structlog

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.definition.shaping import shape_of
from penstock.engines.executor.calling import CALLERS, Caller, StubbornHandler
from penstock.engines.executor.carried import Carried
from penstock.engines.executor.ending import end_record, unreadable
from penstock.engines.executor.execute import Executor
from penstock.engines.executor.resources import Resources
from penstock.engines.executor.stubborn import leave_behind
from penstock.engines.executor.watch import Culprit, LoopWatch
from penstock.engines.local.effects import LocalEffects, Released
from penstock.model.attempt import Ended, Instant, PlanId, RunEnd, RunId
from penstock.model.errors import InvalidData, LeaseLost, LedgerUnavailable, PenstockError
from penstock.model.redaction import redact, traced
from penstock.model.results import Event
from penstock.model.shape import Shape
from penstock.model.states import EventType
from penstock.planning.drive import drive
from penstock.ports.engine import Drained, OnEvent
from penstock.ports.ledger import Worker
from penstock.ports.records import Claimed, History, LogRecord, WaitRecord

POLL = 5.0
"""Seconds between looks for work where no news comes."""
HOUSEKEEPING = 3.0
PASSED_ON = 1_800.0
"""Seconds before a run that could not go on here is offered again."""
QUANTUM = 16
"""Runs that one lane may have in a row before the other lanes get their turn."""


class LocalEngine:
    """See `ports.engine.Engine`; enter it before use.

    Args:
        open_worker: Takes a lease.
        registry: The app's pipelines.
        resources: What steps share.
        pipelines: Names of those whose runs this engine carries.
        slots: Runs at once.
        connection: Gives connections outside transactions.
        work: The folder under which runs have theirs.
        on_event: Told of what happens here.
        wanted_events: Event types that go to the outbox as well.
        log_level: The least level that `ctx.log` keeps.
        wanted_ends: Ends of runs that go to the outbox whatever their event.
        shapes: The pipelines' shapes with the ledger's overrides in them; as the code says them by default.
        caller: How handlers are called; by default in the loop, in threads and in processes.
    """

    def __init__(
        self,
        open_worker: Callable[[], Awaitable[Worker]],
        registry: Registry,
        resources: Resources,
        *,
        pipelines: Sequence[str],
        slots: int,
        connection: Callable[[], Any],
        work: Path,
        on_event: OnEvent | None = None,
        wanted_events: frozenset[EventType] = frozenset(),
        log_level: int = 20,
        wanted_ends: frozenset[RunEnd] = frozenset(),
        shapes: Mapping[str, Shape] | None = None,
        caller: Caller | None = None,
    ) -> None:
        self._open_worker, self._registry, self._resources = open_worker, registry, resources
        self._pipelines, self._slots, self._connection, self._work = pipelines, max(1, slots), connection, work
        self._on_event, self._wanted, self._log_level = on_event, wanted_events, log_level
        self._log = structlog.get_logger("penstock.engine")
        self._caller, self._watches = caller or Caller(self._slots), caller is None
        self._wanted_ends = wanted_ends
        self._shapes = shapes or {name: shape_of(registry.pipelines[name]) for name in pipelines}
        self._carrying: dict[asyncio.Task[None], Carried | None] = {}
        self._wake, self._next_housekeeping = asyncio.Event(), 0.0
        self._stopping = self._staying = False
        self._stubborn: str | None = None
        self._soon = max((shape.max_wait for shape in self._shapes.values()), default=0.0)
        self._ended, self._draining = set[RunId](), cast("PlanId | None", None)
        self._due: list[float] = []
        self._next_due: float | None = None

    async def __aenter__(self) -> Self:
        self._worker = await self._open_worker()
        try:
            self._executor = self._new_executor()
            self._caller.on_stubborn = self._give_up
            self._watch = (
                LoopWatch(CALLERS, self._warn, self._log.warning, self._give_up_loop) if self._watches else None
            )
        except BaseException:  # no thread, say: nobody must hold a lease and do nothing with it
            await self._worker.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._watch is not None:
            self._watch.close()
        await self._cancel_all()
        await self._caller.close()
        await self._worker.close()

    @property
    def at_work(self) -> bool:
        return not (self._worker.lost or self._stopping or self._stubborn is not None)

    async def drain(self, plan: PlanId | None = None, *, stay: bool = False) -> Drained:
        """Carry out what is there until nothing is left, or until it is stopped; see `ports.engine`."""
        self._staying = stay
        self._draining = plan
        while True:
            try:
                if self._stubborn is not None:
                    break
                if self._worker.lost:
                    await self._start_over()
                claimed = await self._fill()
                idle = not self._carrying and not claimed
                if idle and (self._stopping or (not stay and await self._is_over(plan))):
                    break
                await self._rest(claimed)
            except LedgerUnavailable as error:
                self._log.warning("the ledger does not answer; trying again", reason=str(error))
                await asyncio.sleep(0.5)
            except LeaseLost as error:
                self._log.warning("lease lost", reason=str(error))
                if not self._worker.lost:
                    await self._start_over()
        if self._stubborn is not None:
            raise PenstockError(f"{self._stubborn} This process has given its lease up and must be ended.")
        return Drained(frozenset(self._ended))

    async def stop(self, grace: float) -> None:
        """Claim nothing more and hand back what does not finish in time; see `ports.engine`."""
        self._stopping = True
        for run in self._carrying.values():
            if run is not None:
                run.handing_over = True
        self._wake.set()
        if self._carrying:
            await asyncio.wait(list(self._carrying), timeout=grace)
        await self._cancel_all()

    async def _fill(self) -> int:
        """Housekeeping when its time has come, then claims for the free slots."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_housekeeping:
            self._next_housekeeping = loop.time() + HOUSEKEEPING
            due = await self._worker.housekeep(self._pipelines)
            self._next_due = None if due is None else loop.time() + due
            await self._look_for_cancels()
        if self._stopping or self._stubborn:
            return 0
        free = self._slots - len(self._carrying)
        if free <= 0:
            return 0
        claims = await self._worker.claim(free, self._pipelines)
        for claimed in claims:
            task = asyncio.create_task(self._carry(claimed), name=f"penstock-run-{claimed.hold.run}")
            self._carrying[task] = None
            task.add_done_callback(self._gone)
        return len(claims)

    async def _rest(self, claimed: int) -> None:
        """Until a slot is free, news comes, something is due, or it is time to look anyway."""
        if claimed and len(self._carrying) < self._slots:
            return  # there may be more
        loop = asyncio.get_running_loop()
        times = [loop.time() + (POLL if self._carrying else 1.0), self._next_housekeeping, *self._due]
        times += [] if self._next_due is None else [self._next_due]
        timeout = max(0.01, min(times) - loop.time())
        self._due = [at for at in self._due if at > loop.time()]
        if self._next_due is not None and self._next_due <= loop.time() + timeout + 0.01:
            self._next_housekeeping = min(self._next_housekeeping, self._next_due + 0.005)
        news = asyncio.create_task(self._worker.changed(timeout))
        woken = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait([news, woken], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (news, woken):
                task.cancel()
            await asyncio.gather(news, woken, return_exceptions=True)
        if not self._wake.is_set():
            await self._look_for_cancels()
        self._wake.clear()

    async def _is_over(self, plan: PlanId | None) -> bool:
        left = await self._worker.outstanding(self._pipelines, plan, soon=self._soon)
        return left.open == 0 and left.elsewhere == 0

    async def _look_for_cancels(self) -> None:
        runs = {run.id: run for run in self._carrying.values() if run is not None and not run.cancelled}
        if runs:
            for run_id in await self._worker.cancelled(list(runs)):
                runs[run_id].request_cancel()

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._carrying.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error(f"a run was let go\n{traced(error)}")

    async def _carry(self, claimed: Claimed) -> None:
        """Drive a run to its end, and the next ones of its lane."""
        following: Claimed | None = claimed
        turn = 0
        while following is not None:
            turn += 1
            following = await self._drive(following, keep=turn % QUANTUM != 0)

    async def _drive(self, claimed: Claimed, *, keep: bool) -> Claimed | None:
        tries = 0
        while True:
            try:
                return await self._drive_once(claimed, keep=keep)
            except LeaseLost as error:
                self._log.info("run taken over", run=claimed.hold.run, reason=str(error))
                return None
            except LedgerUnavailable as error:  # what is on disk is not known: begin again from the record
                tries += 1
                self._log.warning("the ledger does not answer; trying again", reason=str(error))
                await asyncio.sleep(min(5.0, 0.2 * 2**tries))
                claimed = _begun(claimed)
            except Exception as error:  # noqa: BLE001 - a fault of ours: no run may be held by a process that lets it lie
                self._log.error(f"run {claimed.hold.run} cannot go on here; it is offered again later\n{traced(error)}")
                await self._pass_on(claimed, redact(f"{type(error).__name__}: {error}"))
                return None

    async def _drive_once(self, claimed: Claimed, *, keep: bool) -> Claimed | None:
        worker, executor = self._worker, self._executor
        pipeline = self._registry.pipelines.get(claimed.pipeline)
        if pipeline is None:  # of a lane that pipelines share: another process knows it
            await self._pass_on(claimed, f"this app has no pipeline {claimed.pipeline}")
            return None
        begun = claimed.claims > 1
        history = await worker.history(claimed.hold.run) if begun or claimed.copied else History()
        shape = claimed.shape
        if not history.attempts:  # it has not begun: it goes over to what the code says now
            now = self._shapes.get(claimed.pipeline) or shape_of(pipeline)
            shape = shape if shape.code == now.code else now
        try:
            run = Carried(claimed, pipeline, shape, history)
        except InvalidData as error:  # the unit's class changed: what was planned fits it no more
            self._note(claimed)
            told = self._told("failed", "execution.failed")
            return await worker.end(unreadable(claimed, pipeline, str(error), event=told))
        if task := asyncio.current_task():
            self._carrying[task] = run
        run.handing_over = self._stopping
        if not begun:
            self.emit("execution.started", run, {})
        try:
            if (missing := _missing(run, pipeline)) is not None:
                ended = Ended("cancelled", {}, "data", missing)
            else:
                ended = await drive(run.id, shape.steps, history.tries, LocalEffects(executor, run))
        except Released as released:
            await self._let_go(run, released)
            return None
        except asyncio.CancelledError:
            if self._stopping and not worker.lost:
                await asyncio.shield(self._let_go(run, Released(worker.now(), "handover")))
            raise
        except StubbornHandler as error:
            self._give_up(str(error))
            return None
        event: EventType = "execution.completed" if ended.state in ("completed", "partial") else "execution.failed"
        record = end_record(
            run,
            ended,
            worker.now(),
            keep=keep and not self._stopping and self._stubborn is None,
            event=self._told(ended.state, event),
        )
        following = await worker.end(record)
        self._note(claimed)
        if ended.state == "completed":
            shutil.rmtree(executor.workdir(run), ignore_errors=True)
        self.emit(event, run, {"state": ended.state, "error": record.error, "error_class": record.error_class})
        return following

    def _note(self, claimed: Claimed) -> None:
        """Remember that it ended here, unless the plan itself tells (it may have millions), or this stays for weeks."""
        if not self._staying and claimed.plan != self._draining:
            self._ended.add(claimed.hold.run)

    def _told(self, end: RunEnd, event: EventType) -> EventType | None:
        return event if event in self._wanted or end in self._wanted_ends else None

    async def _pass_on(self, claimed: Claimed, why: str) -> None:
        """Let a run go that cannot go on here: for a process that can, or for later."""
        self._log.warning("left to another process", run=claimed.hold.run, reason=why)
        until = Instant(self._worker.now() + PASSED_ON)
        try:
            await self._worker.wait(WaitRecord(hold=claimed.hold, until=until, reason="handover", keep_lane=False))
        except LeaseLost as error:
            self._log.info("run taken over", run=claimed.hold.run, reason=str(error))

    async def _let_go(self, run: Carried, released: Released) -> None:
        wait = released.until - self._worker.now()
        keep = wait <= run.shape.max_wait
        record = WaitRecord(hold=run.hold, until=released.until, reason=released.reason, keep_lane=keep)
        await self._worker.wait(record)
        self._due.append(asyncio.get_running_loop().time() + max(0.0, wait) + 0.002)

    async def _cancel_all(self) -> None:
        tasks = list(self._carrying)
        for task in tasks:
            task.cancel()
        if tasks:  # one that will not go must not hold up the others
            _, stuck = await asyncio.wait(tasks, timeout=None if self._stubborn is None else 1.0)
            if stuck:
                leave_behind(task for task in asyncio.all_tasks() if task.get_name().startswith("penstock-run-"))

    def _give_up(self, why: str) -> None:
        self._stubborn = why
        self._wake.set()

    def _give_up_loop(self, why: str) -> None:
        """From the watch's thread: a handler holds the loop, so nothing in it can be interrupted or said."""
        self._stubborn = why
        self._worker.abandon()
        self._log.error(f"{why} This process renews its lease no more and must be ended.")

    def _warn(self, culprit: Culprit, seconds: float) -> None:
        message = culprit.message(seconds)
        self._log.warning(message)
        self._worker.log(
            LogRecord(
                run=culprit.run.id,
                step=culprit.step,
                attempt=None,
                at=self._worker.now(),
                level="warning",
                message=message,
                fields={},
            )
        )

    async def _start_over(self) -> None:
        """The lease is lost: everything in hand belongs to others now. Begin anew with a new lease."""
        await self._cancel_all()
        await self._worker.close()
        self._worker = await self._open_worker()
        self._executor = self._new_executor()

    def _new_executor(self) -> Executor:
        return Executor(
            self._worker,
            self._resources,
            self._caller,
            errors=self._registry.errors,
            emit=self.emit,
            connection=self._connection,
            work=self._work,
            log_level=self._log_level,
        )

    def emit(self, kind: EventType, run: Carried, data: Mapping[str, Any]) -> None:
        """Tell whoever watches this process."""
        if self._on_event is None:
            return
        self._on_event(
            Event(
                id=uuid4(),
                type=kind,
                time=datetime.fromtimestamp(self._worker.now(), UTC),
                pipeline=run.pipeline.name,
                run=run.claimed.uuid,
                data={"number": run.id, "unit": run.slots[0].unit, "units": len(run.slots), **data},
            )
        )


def _begun(claimed: Claimed) -> Claimed:
    return replace(claimed, claims=max(2, claimed.claims))


def _missing(run: Carried, pipeline: Pipeline[Any]) -> str | None:
    """Why a run that had begun cannot go on here: a step of its shape has no handler any more."""
    missing = [name for name in run.steps if name not in pipeline.steps]
    if not missing:
        return None
    return f"definition_changed: {pipeline.name} has no step {missing[0]} any more (version {run.shape.version})"
