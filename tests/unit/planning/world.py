"""One run on a virtual clock: its ledger, the engine that drives it, and a script of what its handlers do.

The engine may die: when a handler has ended but is not recorded, when it is recorded but not reported, or at any
instant. It then begins anew from the record, as a process that takes over would. Whatever `drive` asks for is judged
against the record at once, by rules written here anew and not taken from the driver.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from penstock.model.attempt import AttemptOutcome, Ended, Instant, OutcomeKind, RunEnd, RunId, StepEnd, Try
from penstock.model.shape import StepShape
from penstock.model.states import ErrorClass, WaitReason
from penstock.planning.drive import drive
from penstock.planning.retry import delay, policy_for

START = 1000.0
CLOSE = 1e-4  # what sums of floats may differ by
Fault: TypeAlias = Literal["none", "unrecorded", "unreported"]


@dataclass(frozen=True)
class Turn:
    """What one attempt meets: holds first, then a handler that takes `seconds` and ends so."""

    kind: Literal["done", "failed"] = "done"
    seconds: float = 1.0
    error_class: ErrorClass = "unknown"
    server_wait: float | None = None
    units_left: int = 1
    units_failed: int = 0
    holds: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """What befalls the engine: a fault per execution, a release per call of idle, deaths at instants."""

    faults: tuple[Fault, ...] = ()
    releases: tuple[bool, ...] = ()
    deaths: tuple[float, ...] = ()
    downtime: float = 7.0
    lives: int = 1000


class DiedError(Exception):
    """The process that drove the run is gone."""


class ReleasedError(Exception):
    """The engine let the run go until an instant."""

    def __init__(self, until: float) -> None:
        self.until = until


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__(_NoWait(self))
        self.now = START

    def time(self) -> float:
        return self.now


class _NoWait(selectors.DefaultSelector):
    """A selector that lets virtual time pass in place of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the driver waits for something that never comes"
        self.loop.now += max(timeout, 0.0)
        return []


class World:
    """The ledger of one run, and all that is held of what is asked of it."""

    def __init__(self, steps: Sequence[StepShape], script: Mapping[str, Sequence[Turn]], run: int = 1) -> None:
        self.run = RunId(run)
        self.steps = steps
        self.shapes = {step.name: step for step in steps}
        self.script = script
        self.record: list[Try] = []
        self.cancel_at: float | None = None
        self.held: dict[tuple[str, int], int] = {}  # holds met
        self.executions = 0

    def __repr__(self) -> str:
        return f"World(run={self.run}, cancel_at={self.cancel_at}, steps={self.steps}, script={self.script})"

    def turn(self, step: str, n: int) -> Turn:
        turns = self.script.get(step, ())
        return turns[n - 1] if n <= len(turns) else Turn()

    def outcomes(self, step: str, kind: OutcomeKind | None = None) -> list[tuple[int, AttemptOutcome]]:
        return [(n, out) for name, n, out in self.record if name == step and kind in {None, out.kind}]

    def exhausted(self, step: str) -> AttemptOutcome | None:
        """The failure for which the policy gives no further attempt."""
        counts: dict[ErrorClass, int] = {}
        for _, out in self.outcomes(step, "failed"):
            error_class = out.error_class or "unknown"
            counts[error_class] = counts.get(error_class, 0) + 1
            if counts[error_class] >= policy_for(error_class, self.shapes[step].policies).attempts:
                return out
        return None

    def settled(self, step: str) -> AttemptOutcome | None:
        """The outcome with which a step ended of itself, without a stop."""
        over = [out for _, out in self.outcomes(step) if out.kind in {"done", "cancelled"}]
        return over[0] if over else self.exhausted(step)

    def skipped(self, step: str) -> bool:
        return any(
            self.skipped(a) or (self.exhausted(a) is not None and self.shapes[a].on_failure == "skip_downstream")
            for a in self.shapes[step].after
        )

    def stops(self) -> list[AttemptOutcome]:
        """The outcomes after which no ordinary step starts, in the order of their record."""
        stops: list[AttemptOutcome] = []
        for step, _, out in self.record:
            shape = self.shapes[step]
            gone = out.kind == "done" and out.units_left == 0
            given_up = out is self.exhausted(step) and shape.on_failure == "stop"
            if out.kind == "cancelled" or (shape.when == "ok" and (gone or given_up)):
                stops.append(out)
        return stops

    def cancel_asked(self, now: float) -> bool:
        return self.cancel_at is not None and now >= self.cancel_at - CLOSE

    def closing_began(self) -> bool:
        return any(self.shapes[step].when != "ok" for step, _, _ in self.record)

    def ready_at(self, shape: StepShape, n: int) -> float:
        """The instant at which this attempt is due by the record alone."""
        last = self.outcomes(shape.name)
        if not last:
            before = self.record if shape.when != "ok" else [t for t in self.record if t[0] in shape.after]
            return max([out.at for _, _, out in before], default=START)
        previous, out = last[-1]
        if out.not_before is not None:
            return out.not_before
        if out.kind == "held":
            return out.at
        failures = sum(o.error_class == out.error_class for _, o in self.outcomes(shape.name, "failed"))
        assert out.error_class is not None
        wait = delay(policy_for(out.error_class, shape.policies), failures, f"{self.run}/{shape.name}/{previous}")
        assert wait is not None, f"{shape.name} went beyond its policy"
        return out.at + wait

    def next_due(self) -> float:
        """The instant at which the first of the steps that wait is due."""
        last = {step: (n, out) for step, n, out in self.record}
        return min(
            self.ready_at(shape, n + (out.kind == "failed"))
            for name, (n, out) in last.items()
            if self.settled(name) is None and ((shape := self.shapes[name]).when != "ok" or not self.stops())
        )

    def judge(self, step: str, n: int, now: float, began: float, executing: Iterable[str]) -> None:
        """Hold `drive` to its promises as it starts an attempt."""
        shape, name = self.shapes[step], f"{step}, attempt {n}"
        self.executions += 1
        assert self.executions < 1000, "the driver turns in a circle"
        assert step not in executing, f"{name}: overlaps itself"
        assert not any(m >= n and out.kind != "held" for m, out in self.outcomes(step)), f"{name}: was recorded"
        assert n == 1 + len(self.outcomes(step, "failed")), f"{name}: wrong number"
        assert self.settled(step) is None, f"{name}: had ended"
        for earlier in shape.after:
            assert self.settled(earlier) is not None, f"{name}: {earlier} had not ended"
        assert not self.skipped(step), f"{name}: a step before it failed or was skipped"
        stops = self.stops()
        if shape.when == "ok":
            assert not stops or now <= stops[0].at + CLOSE, f"{name}: started after a stop"
        else:
            self._judge_closing(shape, executing, bool(stops))
        due = max(self.ready_at(shape, n), began)
        woken = shape.when == "ok" and self.cancel_asked(now)
        assert woken or abs(now - due) < CLOSE, f"{name}: started at {now}, was due at {due}"

    def _judge_closing(self, shape: StepShape, executing: Iterable[str], stopped: bool) -> None:
        assert not list(executing), f"{shape.name}: overlaps"
        assert shape.when == "always" or stopped, f"{shape.name}: nothing failed"
        for other in self.steps:
            if other.when == "ok":
                over = stopped or self.settled(other.name) is not None or self.skipped(other.name)
                assert over, f"{shape.name}: {other.name} was not over"
            elif other is shape:
                break
        for other in self.steps[: self.steps.index(shape)]:
            if other.when == "always" or (other.when == "failed" and stopped):
                assert self.settled(other.name) is not None, f"{shape.name}: before {other.name}"

    def ends(self) -> tuple[RunEnd, dict[str, StepEnd]]:
        """What must have become of the run and of each of its steps."""
        ends: dict[str, StepEnd] = {step: self._end(step) for step in self.shapes}
        stops = self.stops()
        if any(out.kind == "cancelled" for out in stops):
            return "cancelled", ends
        dented = "failed" in ends.values() or any(out.units_failed for _, _, out in self.record)
        return ("failed" if stops else "partial" if dented else "completed"), ends

    def _end(self, step: str) -> StepEnd:
        last = max((i for i, (name, _, _) in enumerate(self.record) if name == step), default=None)
        if last is None:
            return "skipped"
        out = self.record[last][2]
        if out.kind == "done":
            return "completed"
        if out.kind == "cancelled":
            return "cancelled"
        ordinary = self.shapes[step].when == "ok"
        stop = next((i for i, (_, _, out) in enumerate(self.record) if out in self.stops()), None)
        if out is self.exhausted(step) or (out.kind == "failed" and ordinary and stop is not None and stop < last):
            return "failed"
        # It waited as the run was stopped, or was told to wait after that.
        assert ordinary, f"{step}: a closing step was given up"
        assert stop is not None, f"{step}: was forgotten"
        known = [out.kind for _, _, out in self.record[: max(stop, last) + 1]]
        return "cancelled" if "cancelled" in known else "failed"


class Engine:
    """The effects of one process, from when it takes the run to when it lets go of it or dies."""

    def __init__(self, world: World, faults: list[Fault], releases: list[bool]) -> None:
        self.world, self.faults, self.releases = world, faults, releases
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.executing: list[str] = []
        self.over_at = self.began  # when it raised, if it did

    async def execute(self, step: str, n: int) -> AttemptOutcome:
        world, now = self.world, self.loop.time()
        world.judge(step, n, now, self.began, self.executing)
        turn = world.turn(step, n)
        ordinary = world.shapes[step].when == "ok"
        if ordinary and world.cancel_asked(now):
            return self._recorded(step, n, "cancelled")
        met = world.held.get((step, n), 0)
        if met < len(turn.holds):
            world.held[step, n] = met + 1
            return self._recorded(step, n, "held", wait=turn.holds[met], reason="quota")
        self.executing.append(step)
        try:
            seconds = turn.seconds
            if ordinary and world.cancel_at is not None:
                seconds = min(seconds, world.cancel_at - now)
            await asyncio.sleep(seconds)
        finally:
            self.executing.remove(step)
        fault = self.faults.pop(0) if self.faults else "none"
        self.over_at = self.loop.time()
        if fault == "unrecorded":
            raise DiedError
        if seconds < turn.seconds:
            out = self._recorded(step, n, "cancelled")
        elif turn.kind == "failed":
            out = self._recorded(step, n, "failed", wait=turn.server_wait, error_class=turn.error_class)
        else:
            out = self._recorded(step, n, "done", units_left=turn.units_left, units_failed=turn.units_failed)
        if fault == "unreported":
            raise DiedError
        return out

    def _recorded(
        self,
        step: str,
        n: int,
        kind: OutcomeKind,
        *,
        wait: float | None = None,
        error_class: ErrorClass | None = None,
        units_left: int = 1,
        units_failed: int = 0,
        reason: WaitReason = "backoff",
    ) -> AttemptOutcome:
        now = Instant(self.loop.time())
        not_before = None if wait is None else Instant(now + wait)
        error = None if error_class is None else f"{step} {n}"
        out = AttemptOutcome(kind, now, units_left, units_failed, error_class, error, not_before, reason)
        self.world.record.append((step, n, out))
        return out

    async def sleep_until(self, at: Instant) -> None:
        cancel_at, now = self.world.cancel_at, self.loop.time()
        if cancel_at is not None and not self.world.closing_began():
            await asyncio.sleep(max(0.0, min(at, cancel_at) - now))
        else:
            await asyncio.sleep(max(0.0, at - now))

    async def idle(self, until: Instant, reason: WaitReason) -> None:
        assert not self.executing, f"idle while {self.executing} execute"
        due = self.world.next_due()
        assert abs(until - due) < CLOSE, f"idle until {until}, a step is due at {due}"
        self.over_at = self.loop.time()
        if until > self.over_at and self.releases and self.releases.pop(0):
            raise ReleasedError(until)


def play(world: World, trouble: Trouble | None = None, engine: type[Engine] = Engine) -> Ended:
    """Bring the run of this world to its end, through whatever trouble."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_play(world, trouble or Trouble(), engine))
    finally:
        loop.close()


async def _play(world: World, trouble: Trouble, engine: type[Engine]) -> Ended:
    loop = asyncio.get_running_loop()
    faults, releases = list(trouble.faults), list(trouble.releases)
    deaths = sorted(START + seconds for seconds in trouble.deaths)
    for life in itertools.count(1):
        deaths = [death for death in deaths if death > loop.time() + CLOSE]
        fx = engine(world, faults, releases)
        try:
            async with asyncio.timeout_at(deaths[0] if deaths else None):
                return await drive(world.run, world.steps, tuple(world.record), fx)
        except DiedError:
            if life == trouble.lives:
                raise
            over_at, back = fx.over_at, loop.time() + trouble.downtime
        except TimeoutError:
            over_at, back = deaths[0], loop.time() + trouble.downtime
        except ReleasedError as released:
            over_at, back = fx.over_at, min(released.until, world.cancel_at or released.until)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}, "the driver left tasks behind"
        assert loop.time() - over_at < CLOSE, "the driver went on after its engine had raised"
        await asyncio.sleep(max(0.0, back - loop.time()))
    raise AssertionError
