"""`drive` through random graphs, scripts and trouble, on a virtual clock.

`World.judge` looks at each start: order, skips, stops, closing steps, attempts, and the instant to which it was due.
`Engine.idle` and `play` look at what executes when the driver idles and at what it leaves behind. The tests here
compare whole runs. `PENSTOCK_EXAMPLES` sets how many examples each of them takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from penstock.model.attempt import AttemptOutcome, Instant, RunId
from penstock.model.shape import OnFailure, Policy, StepShape, When
from penstock.model.states import ErrorClass, WaitReason
from penstock.planning.drive import drive
from tests.unit.planning.world import DiedError, Engine, Fault, Trouble, Turn, World, play

EXAMPLES: Final = int(os.environ.get("PENSTOCK_EXAMPLES", "300"))
MANY: Final = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

CLASSES: Final[Sequence[ErrorClass]] = ("unknown", "network", "rate_limit", "data", "auth")
ON_FAILURE: Final[Sequence[OnFailure]] = ("stop", "continue", "skip_downstream")
CLOSING: Final[Sequence[When]] = ("failed", "always")
FAULTS: Final[Sequence[Fault]] = ("none", "none", "none", "unrecorded", "unreported")

policies = st.builds(
    Policy,
    attempts=st.integers(1, 4),
    first=st.sampled_from([0.0, 0.5, 1.0, 5.0]),
    limit=st.sampled_from([1.0, 16.0, 300.0]),
    factor=st.sampled_from([1.0, 2.0, 3.0]),
    jitter=st.booleans(),
)
patience: st.SearchStrategy[dict[ErrorClass, Policy]] = st.dictionaries(st.sampled_from(CLASSES), policies, max_size=2)
seconds = st.sampled_from([1.0, 0.0, 0.5, 2.0, 3.0, 20.0])
dones = st.builds(
    Turn,
    seconds=seconds,
    units_left=st.sampled_from([1, 1, 1, 1, 1, 0]),
    units_failed=st.sampled_from([0, 0, 0, 1]),
    holds=st.lists(st.sampled_from([None, 0.0, 3.0, 60.0]), max_size=2).map(tuple),
)
failures = st.builds(
    Turn,
    kind=st.just("failed"),
    seconds=seconds,
    error_class=st.sampled_from(CLASSES),
    server_wait=st.sampled_from([None, None, None, 0.0, 30.0, 1000.0]),
    holds=st.lists(st.sampled_from([3.0, 60.0]), max_size=1).map(tuple),
)
turns = st.lists(st.one_of(failures, failures, dones), max_size=5).map(tuple)
troubles = st.builds(
    Trouble,
    faults=st.lists(st.sampled_from(FAULTS), max_size=8).map(tuple),
    releases=st.lists(st.booleans(), max_size=6).map(tuple),
    deaths=st.lists(st.floats(0, 60), max_size=3).map(tuple),
    downtime=st.sampled_from([0.0, 1.0, 7.0, 100.0]),
)


@st.composite
def graphs(draw: st.DrawFn, *, chain: bool = False) -> tuple[StepShape, ...]:
    """Chains, fans, diamonds and whatever else; closing steps are declared anywhere."""
    count = draw(st.integers(1, 6))
    form = "chain" if chain else draw(st.sampled_from(["any", "any", "chain", "fan-out", "fan-in", "diamond"]))
    steps: list[StepShape] = []
    for i in range(count):
        match form:
            case "chain":
                after = [i - 1] if i else []
            case "fan-out":
                after = [0] if i else []
            case "fan-in":
                after = list(range(i)) if i == count - 1 else []
            case "diamond":
                after = list(range(1, i)) if i == count - 1 and i > 1 else [0] if i else []
            case _:
                after = sorted(draw(st.sets(st.integers(0, i - 1), max_size=3))) if i else []
        names = tuple(f"s{a}" for a in after)
        steps.append(StepShape(f"s{i}", names, draw(st.sampled_from(ON_FAILURE)), policies=draw(patience)))
    for i in range(draw(st.integers(0, 3))):
        closing = StepShape(f"c{i}", when=draw(st.sampled_from(CLOSING)), policies=draw(patience))
        steps.insert(draw(st.integers(0, len(steps))), closing)
    return tuple(steps)


@st.composite
def worlds(draw: st.DrawFn, *, chain: bool = False, cancel: bool = False) -> World:
    steps = draw(graphs(chain=chain))
    world = World(steps, {step.name: draw(turns) for step in steps}, run=draw(st.integers(1, 5)))
    if cancel:
        world.cancel_at = 1000.0 + draw(st.sampled_from([0.0, 1.0, 2.0, 2.25, 5.0, 23.0, 70.0]))
    return world


def again(world: World) -> World:
    """The same world before anything happened in it."""
    fresh = World(world.steps, world.script, world.run)
    fresh.cancel_at = world.cancel_at
    return fresh


class Refusing:
    """Effects of a run that is over: nothing is left to ask for."""

    async def execute(self, step: str, n: int) -> AttemptOutcome:
        raise AssertionError(f"{step}, attempt {n}, was asked for after the end")

    async def sleep_until(self, at: Instant) -> None:
        raise AssertionError("slept after the end")

    async def idle(self, until: Instant, reason: WaitReason) -> None:
        raise AssertionError("idled after the end")


@MANY
@given(worlds(), troubles)
def test_run_keeps_every_promise_through_trouble(world: World, trouble: Trouble) -> None:
    ended = play(world, trouble)
    event(ended.state)
    assert (ended.state, ended.steps) == world.ends()


@MANY
@given(worlds(cancel=True), troubles)
def test_cancelled_run_keeps_every_promise_through_trouble(world: World, trouble: Trouble) -> None:
    ended = play(world, trouble)
    event(ended.state)
    assert (ended.state, ended.steps) == world.ends()


@MANY
@given(st.one_of(worlds(), worlds(cancel=True)))
def test_record_alone_tells_how_the_run_ended(world: World) -> None:
    """An engine that dies between the last record and finish loses nothing, whatever the graph and the cancel."""
    ended = play(world)
    assert asyncio.run(drive(world.run, world.steps, tuple(world.record), Refusing())) == ended


@MANY
@given(worlds(), troubles)
def test_trouble_does_not_change_the_end(world: World, trouble: Trouble) -> None:
    """Without a cancel the state and the closing steps are always the same; every step is, unless the run is stopped.

    A stop may find other branches elsewhere than it would have without trouble, so what they came to is compared only
    where no branch is stopped by another. See the next test for graphs that have only one.
    """
    calm, hit = play(again(world)), play(world, trouble)
    event(calm.state)
    assert hit.state == calm.state
    stopped = calm.state == "failed"
    names = [step.name for step in world.steps if step.when != "ok" or not stopped]
    assert {name: hit.steps[name] for name in names} == {name: calm.steps[name] for name in names}


@MANY
@given(worlds(chain=True), troubles)
def test_trouble_changes_nothing_at_all_in_a_chain(world: World, trouble: Trouble) -> None:
    """Where one step executes at a time, all of the end is the same: steps, and the failure that decided it."""
    assert play(world, trouble) == play(again(world))


# What the properties have found, each by name.


def shape(name: str, *after: str, on_failure: OnFailure = "stop", when: When = "ok", attempts: int = 1) -> StepShape:
    patience = Policy(attempts=attempts, first=5, limit=5, jitter=False)
    return StepShape(name, after, on_failure, when, policies={"unknown": patience})


def starts(world: World) -> list[tuple[str, int]]:
    return [(step, n) for step, n, out in world.record if out.kind != "held"]


def test_closing_step_that_is_declared_first_still_runs_last() -> None:
    world = World((shape("close", when="always"), shape("a"), shape("b", "a")), {})
    assert play(world).state == "completed"
    assert starts(world) == [("a", 1), ("b", 1), ("close", 1)]


@pytest.mark.parametrize("cancel_at", [None, 1000.5])
def test_closing_step_is_tried_again_after_a_stop_and_waits_its_time(cancel_at: float | None) -> None:
    steps = (shape("a"), shape("undo", when="failed", attempts=2))
    world = World(steps, {"a": [Turn("failed")], "undo": [Turn("failed")]})
    world.cancel_at = cancel_at
    ended = play(world)
    assert ended.steps["undo"] == "completed"
    assert ended.state == ("failed" if cancel_at is None else "cancelled")
    assert [out.at for _, _, out in world.record[1:]] == [world.record[0][2].at + wait for wait in (1, 7)]


def test_stop_that_is_told_together_with_a_success_starts_nothing() -> None:
    world = World((shape("a"), shape("b"), shape("c", "a")), {"b": [Turn("failed")]})
    assert play(world).steps == {"a": "completed", "b": "failed", "c": "skipped"}


def test_step_given_up_before_the_cancel_ends_the_same_by_the_record() -> None:
    """`wait` was given up by the stop of `a`; that `b` is cancelled later does not change how it ended."""
    steps = (shape("a"), shape("b"), shape("wait", attempts=2))
    world = World(steps, {"a": [Turn("failed", 2)], "b": [Turn(seconds=20)], "wait": [Turn("failed")]})
    world.cancel_at = 1004.0
    ended = play(world)
    assert ended.steps == {"a": "failed", "b": "cancelled", "wait": "failed"}
    assert asyncio.run(drive(world.run, steps, tuple(world.record), Refusing())) == ended


def test_failure_that_stopped_the_run_is_the_one_that_is_told() -> None:
    steps = (shape("a", on_failure="continue"), shape("b"), shape("c"))
    world = World(steps, {"a": [Turn("failed")], "b": [Turn(seconds=2, units_left=0)], "c": [Turn("failed", 3)]})
    ended = play(world)
    assert (ended.state, ended.failed_step) == ("failed", "b")


class Deaf(Engine):
    """Sleeps that end although they were cancelled, as `asyncio.wait_for` may in the instant of its timeout."""

    async def sleep_until(self, at: Instant) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await super().sleep_until(at)


@pytest.mark.parametrize("fault", ["none", "unrecorded"])
def test_sleep_that_swallows_its_cancel_starts_nothing(fault: Fault) -> None:
    steps = (shape("a"), shape("wait", attempts=2))
    world = World(steps, {"a": [Turn("failed", 2)], "wait": [Turn("failed")]})
    if fault == "none":
        assert play(world, engine=Deaf).steps == {"a": "failed", "wait": "failed"}
    else:
        with pytest.raises(DiedError):
            play(world, Trouble(faults=("none", "unrecorded"), lives=1), engine=Deaf)
    assert world.executions == 2


def test_no_handler_outlives_a_driver_that_is_cancelled() -> None:
    """Also one that takes its time to go."""
    over: list[str] = []

    class Slow(Refusing):
        async def execute(self, step: str, n: int) -> AttemptOutcome:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.001)
                over.append(step)
            raise AssertionError(step)

    async def run() -> None:
        task = asyncio.create_task(drive(RunId(1), (shape("a"), shape("b")), (), Slow()))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, timeout=10)
        assert over == ["a", "b"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
