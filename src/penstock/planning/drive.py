"""The one driver of a run: order, retries, waits, stop.

Pure: it knows no clock, no chance, no units and no ledger. It folds what is recorded, asks its `Effects` to execute a
step or to sleep, and returns how the run ended. A crash may throw it away at any `await`; the next one begins from the
record. It is also the body of a Temporal workflow, so it uses nothing that is not deterministic there: no
`asyncio.wait`, no `as_completed`, no walk over a set.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Sequence
from typing import Protocol, TypeAlias

from penstock.model.attempt import AttemptOutcome, Ended, Instant, RunEnd, RunId, StepEnd, Try
from penstock.model.shape import StepShape
from penstock.model.states import ErrorClass, WaitReason
from penstock.planning.retry import delay, policy_for

Due: TypeAlias = tuple[str, int, Instant | None, WaitReason]
"""What starts: step, attempt, not before, why it waits."""


class Effects(Protocol):
    """What an engine does for the driver."""

    async def execute(self, step: str, n: int) -> AttemptOutcome:
        """Run attempt `n` of the step; its outcome is on disk when this returns.

        Never raises for what a handler did. LeaseLost and LedgerUnavailable end the driver, not the run.
        """
        ...

    async def sleep_until(self, at: Instant) -> None:
        """Sleep until then by the ledger's time; returns at once when a cancel is asked for.

        Not once a closing step has begun: a cancel is no more told then, and closing steps keep to their waits.
        """
        ...

    async def idle(self, until: Instant, reason: WaitReason) -> None:
        """Nothing executes before `until`: the engine may let the run go by raising."""
        ...


async def drive(run: RunId, steps: Sequence[StepShape], history: Sequence[Try], fx: Effects) -> Ended:
    """Bring the run to its end.

    Args:
        run: Salts the jitter.
        steps: The shape's steps, in an order in which each comes after those it names.
        history: What is recorded, in the order of its record; lost attempts are not in it.
        fx: The engine's effects. What they raise is raised here, after every started step was cancelled and is gone.

    Returns:
        The state of the run and of each step. A step that never started is `skipped`.
    """
    state = _State(run, steps)
    for attempt in history:
        state.take(*attempt)
    turns = _Turns(fx)
    try:
        while True:
            turns.give_up(state.ends)
            due = state.due_now(turns.live)
            if not due and not turns.live:
                return state.ended()
            if len(due) == 1 and not turns.live and due[0][2] is None:  # alone and ready: no task is needed
                name, n, _, _ = due[0]
                state.take(name, n, await fx.execute(name, n))
                continue
            turns.start(due)
            for attempt in await turns.news():
                state.take(*attempt)
    finally:
        await turns.end()


class _Turns:
    """The steps that are started, each a task that sleeps if it must, executes one attempt and tells of it."""

    def __init__(self, fx: Effects) -> None:
        self.fx = fx
        self.live: dict[str, asyncio.Task[None]] = {}  # executing or asleep
        self.asleep: dict[str, tuple[Instant, WaitReason]] = {}  # those of them that are asleep
        self.gone: list[asyncio.Task[None]] = []  # given up in their sleep
        self.told: asyncio.Queue[Try | Exception] = asyncio.Queue()

    def start(self, due: Sequence[Due]) -> None:
        for name, n, until, reason in due:
            if until is not None:
                self.asleep[name] = (until, reason)
            self.live[name] = asyncio.create_task(self._turn(name, n, until))

    async def _turn(self, name: str, n: int, until: Instant | None) -> None:
        try:
            if until is not None:
                await self.fx.sleep_until(until)
                if self.asleep.pop(name, None) is None:  # given up in the instant in which it woke
                    return
            self.told.put_nowait((name, n, await self.fx.execute(name, n)))
        except Exception as error:  # noqa: BLE001 - lease lost, ledger gone: the engine judges, not the driver
            self.told.put_nowait(error)

    def give_up(self, ended: Container[str]) -> None:
        """A stop wakes nobody: a step that ended in its sleep goes; what executes goes on to its end."""
        for name in [name for name in self.asleep if name in ended]:
            del self.asleep[name]
            task = self.live.pop(name)
            task.cancel()
            self.gone.append(task)

    async def news(self) -> list[Try]:
        """Wait for outcomes. All that is known comes at once: it counts before anything else starts."""
        if len(self.asleep) == len(self.live):  # nothing executes: the engine may let the run go
            await self.fx.idle(*min(self.asleep.values()))
        items = [await self.told.get()]
        while not self.told.empty():
            items.append(self.told.get_nowait())
        tries: list[Try] = []
        for item in items:
            if isinstance(item, Exception):
                raise item
            del self.live[item[0]]
            tries.append(item)
        return tries

    async def end(self) -> None:
        """None outlives the driver."""
        self.asleep.clear()
        tasks = [*self.gone, *self.live.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _State:
    """What the outcomes so far amount to."""

    def __init__(self, run: RunId, steps: Sequence[StepShape]) -> None:
        self.run = run
        self.by_name = {s.name: s for s in steps}
        self.steps = sorted(steps, key=lambda s: s.when != "ok")  # closing steps last, wherever they are declared
        self.ends: dict[str, StepEnd] = {}
        self.fails: Counter[tuple[str, ErrorClass]] = Counter()  # all that a policy may know
        self.waits: dict[str, tuple[int, Instant | None, WaitReason]] = {}  # next attempt, not before, why
        self.stop = self.cancelled = False
        self.broken = self.dented = False  # the run ends failed; it ends partial
        self.first: tuple[ErrorClass, str | None, str] | None = None  # the failure that counts

    def take(self, name: str, n: int, out: AttemptOutcome) -> None:
        """One outcome changes the state; history and news alike."""
        step = self.by_name[name]
        self.waits.pop(name, None)
        match out.kind:
            case "done":
                self.ends[name] = "completed"
                self.dented |= out.units_failed > 0
                if out.units_left == 0 and step.when == "ok":  # every unit failed: nothing to go on with
                    self._break(out.error_class or "unknown", out.error, name)
            case "cancelled":
                self.ends[name], self.stop, self.cancelled = "cancelled", True, True
            case "held":
                self.waits[name] = (n, out.not_before, out.reason)
            case "failed":
                self._failed(step, n, out)
        if self.stop:
            self._give_up_waiting()

    def _failed(self, step: StepShape, n: int, out: AttemptOutcome) -> None:
        error_class = out.error_class or "unknown"
        self.fails[step.name, error_class] += 1
        policy = policy_for(error_class, step.policies)
        wait = delay(policy, self.fails[step.name, error_class], f"{self.run}/{step.name}/{n}")
        if wait is not None and (step.when != "ok" or not self.stop):
            reason: WaitReason = "rate_limit" if error_class == "rate_limit" else "backoff"
            not_before = Instant(out.at + wait) if out.not_before is None else out.not_before
            self.waits[step.name] = (n + 1, not_before, reason)
            return
        self.ends[step.name], self.dented = "failed", True
        if step.when == "ok" and step.on_failure == "stop":
            self._break(error_class, out.error, step.name)
        elif step.when == "ok":
            self.first = self.first or (error_class, out.error, step.name)

    def _break(self, error_class: ErrorClass, error: str | None, name: str) -> None:
        """The run fails; the first failure that does this to it is the one that counts."""
        if not self.broken:
            self.first = (error_class, error, name)
        self.stop = self.broken = True

    def _give_up_waiting(self) -> None:
        """After a stop: steps that wait end here, closing steps go on. What executes has its outcome still to come."""
        for step in self.steps:
            if step.when == "ok" and step.name in self.waits:
                del self.waits[step.name]
                self.ends[step.name] = "cancelled" if self.cancelled else "failed"

    def due_now(self, live: dict[str, asyncio.Task[None]]) -> list[Due]:
        """What starts now, in order of declaration: ready steps, and those that history left waiting."""
        due: list[Due] = []
        for step in self.steps:
            if step.name in self.ends or step.name in live:
                continue
            if step.name in self.waits:
                due.append((step.name, *self.waits[step.name]))
            elif self._skipped(step):
                self.ends[step.name] = "skipped"
            elif self._ready(step, alone=not live and not due):
                due.append((step.name, 1, None, "backoff"))
        return due

    def _skipped(self, step: StepShape) -> bool:
        return any(
            self.ends.get(a) == "skipped"
            or (self.ends.get(a) == "failed" and self.by_name[a].on_failure == "skip_downstream")
            for a in step.after
        )

    def _ready(self, step: StepShape, *, alone: bool) -> bool:
        if step.when != "ok":  # closing steps: one by one, when all else is over
            return alone and (step.when == "always" or self.broken or self.cancelled)
        return not self.stop and all(a in self.ends for a in step.after)

    def ended(self) -> Ended:
        """The state of the run: cancelled, else failed, else partial, else completed."""
        state: RunEnd = (
            "cancelled" if self.cancelled else "failed" if self.broken else "partial" if self.dented else "completed"
        )
        error_class, error, name = self.first or (None, None, None)
        steps: dict[str, StepEnd] = {name: self.ends.get(name, "skipped") for name in self.by_name}
        return Ended(state, steps, error_class, error, name)
