"""The edges of a simulation: what it refuses, and that its time is its own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

import penstock as ps
from penstock.testing import Simulation, context
from penstock.testing.virtual_time import VirtualClock


class Unit(NamedTuple):
    name: str


A, B, C = Unit("a"), Unit("b"), Unit("c")


def test_hours_pass_in_an_instant() -> None:
    clock = VirtualClock(0.0)

    async def sleep() -> float:
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert clock.run(sleep()) == pytest.approx(7200)
    assert time.monotonic() - began < 5


def test_the_clock_stands_while_a_thread_is_at_work() -> None:
    clock = VirtualClock(0.0)

    async def work() -> float:
        async with asyncio.timeout(1):
            await asyncio.to_thread(time.sleep, 0.05)
        return clock.passed

    assert clock.run(work()) == 0


def test_waiting_for_nothing_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nothing will bring about"):
        VirtualClock(0.0).run(asyncio.Event().wait())


def simple() -> tuple[ps.Pipeline[Unit], ps.Step[str]]:
    pipeline = ps.Pipeline("simple", Unit, retry={"unknown": ps.Retry(attempts=1)})

    @pipeline.step
    async def work(unit: Unit) -> str:
        return unit.name

    return pipeline, work


async def test_it_is_for_plain_tests() -> None:
    pipeline, _ = simple()
    with pytest.raises(TypeError, match="make the test a plain 'def'"):
        Simulation(pipeline, wanted=[A]).run()


def test_a_stub_may_depend_on_the_unit_and_must_fit_the_steps_type() -> None:
    pipeline, work = simple()
    sim = Simulation(pipeline, wanted=[A, B])
    sim.stub(work, lambda unit: unit.name.upper())
    sim.run()
    assert [run.steps[0].output for run in sim.runs] == ["A", "B"]
    wrong: Any = 3
    sim.stub(work, wrong)
    failed = sim.run(force=True).failed[0]
    assert failed.error_class == "data"
    assert "returned int, which does not fit its annotation" in str(failed.error)
    sim.unstub(work)
    assert sim.run(force=True).ok


def test_a_stub_of_a_step_that_takes_the_batch_is_given_the_batch() -> None:
    pipeline = ps.Pipeline("batch", Unit, batch=10)

    @pipeline.step
    async def load(units: list[Unit], db: ps.Transaction) -> int:
        raise NotImplementedError

    def count(units: list[Unit]) -> int:
        return len(units)

    sim = Simulation(pipeline, wanted=[A, B, C])
    sim.stub(load, count)
    sim.run()
    assert sim.runs[0].steps[0].output == 3
    assert sim.calls(load) == [A, B, C]


def test_a_step_of_another_pipeline_is_refused() -> None:
    pipeline, _ = simple()
    _, other = simple()
    with pytest.raises(ValueError, match=r"^simple\.work is not a step of simple"):
        Simulation(pipeline, wanted=[A]).stub(other, "x")


def test_a_connection_may_be_handed_on_but_not_used() -> None:
    pipeline = ps.Pipeline("reads", Unit)

    @pipeline.step
    async def read(ctx: ps.Context[Unit]) -> None:
        async with ctx.connection() as connection:
            if ctx.unit == B:
                await connection.execute("select 1")

    assert Simulation(pipeline, wanted=[A]).run().ok
    with pytest.raises(AssertionError, match=r"^ctx\.connection\(\) gives no database in a Simulation, and \.execute"):
        Simulation(pipeline, wanted=[B]).run()


def test_a_step_that_never_returns_is_named() -> None:
    pipeline = ps.Pipeline("hangs", Unit)

    @pipeline.step
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match=r"^hangs\.hang has not returned for hours"):
        Simulation(pipeline, wanted=[A]).run()


def test_time_is_the_simulations_for_handlers_too() -> None:
    pipeline = ps.Pipeline("times", Unit)
    seen: list[datetime] = []

    @pipeline.step
    async def look(ctx: ps.Context[Unit]) -> None:
        seen.append(ctx.now())
        await asyncio.sleep(60)
        seen.append(ctx.now())

    start = datetime(2030, 2, 3, 4, 5, tzinfo=UTC)
    sim = Simulation(pipeline, wanted=[A], start=start)
    summary = sim.run()
    assert seen == [start, start + timedelta(minutes=1)]
    assert (sim.now, summary.seconds) == (start + timedelta(minutes=1), 60)
    assert sim.runs[0].steps[0].seconds == 60


def test_all_that_a_process_carried_dies_with_it() -> None:
    pipeline = ps.Pipeline("lanes", Unit, lane="name")
    began: list[str] = []

    @pipeline.step
    async def read(unit: Unit) -> None:
        began.append(unit.name)
        await asyncio.sleep(1 if unit == A else 10)

    @pipeline.step(after=read)
    async def write() -> None: ...

    sim = Simulation(pipeline, wanted=[A, B])
    sim.crash(write)  # a's, while b is still read
    assert sim.run().counts == {"completed": 2}
    assert began == ["a", "b", "b"]


def test_it_is_the_same_every_time() -> None:
    def story() -> list[object]:
        pipeline, work = simple()
        sim = Simulation(pipeline, wanted=[A, B])
        sim.fail(work, ps.NetworkError("reset"), times=3)
        sim.run()
        return [*sim.waits, *(run.id for run in sim.runs), sim.elapsed]

    assert story() == story()


def test_settings_and_params_are_given_by_type() -> None:
    pipeline = ps.Pipeline("given", Unit, params=Options)

    @pipeline.step
    async def work(options: Options, settings: Settings) -> str:
        return f"{options.depth} {settings.url}"

    sim = Simulation(pipeline, wanted=[A], params=Options(depth=3), settings=Settings())
    assert sim.run().ok
    assert sim.runs[0].steps[0].output == "3 http://example"


class Options(NamedTuple):
    depth: int = 1


class Settings:
    url = "http://example"


async def test_a_context_of_its_own_remembers_logs_and_refuses(caplog: pytest.LogCaptureFixture) -> None:
    ctx = context(A, attempt=2)
    asked: list[int] = []

    async def ask(number: int) -> int:
        asked.append(number)
        return number

    assert [await ctx.once("k", ask, 1), await ctx.once("k", ask, 2)] == [1, 1]
    assert (asked, ctx.attempt, ctx.unit, list(ctx.units), ctx.forced) == ([1], 2, A, [A], False)
    (ctx.workdir / "file").touch()
    with caplog.at_level("INFO"):
        ctx.log.info("read", rows=3)
    assert caplog.messages == ["read"]
    ctx.progress(1, 2)
    ctx.count(read=1)
    with pytest.raises(ps.InvalidData, match="torn"):
        ctx.fail(A, ps.InvalidData("torn"))
    with pytest.raises(AssertionError, match="no database"):
        ctx.connection()
