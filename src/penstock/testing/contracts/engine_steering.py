# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What people's orders and lanes promise: cancel, pause, retry, one run at a time in a lane, events after the fact."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

import penstock as ps
from penstock.operations import results
from penstock.testing.contracts.engine_case import EngineCase, Play, Scene, letters, soon
from penstock.testing.contracts.engine_units import A, B, C, Letter
from penstock.testing.contracts.ledger_case import until


class EngineSteeringContract(EngineCase):
    """Orders, lanes, events."""

    async def test_runs_of_a_lane_never_overlap_and_keep_their_order(self, play: Play) -> None:
        pipeline = letters(order="-name")
        inside: Counter[str] = Counter()
        most = 0
        order: list[str] = []

        @pipeline.step
        async def work(letter: Letter) -> None:
            nonlocal most
            inside[letter.lane] += 1
            assert inside[letter.lane] == 1
            most = max(most, inside.total())
            order.append(letter.name)
            await asyncio.sleep(0.01)
            inside[letter.lane] -= 1

        units = [Letter(f"{lane}{n}", lane) for lane in "xyz" for n in range(4)]
        played = await play.run(pipeline, *units, lanes=2)
        assert played.summary.counts == {"completed": 12}
        assert most == 2
        for lane in "xyz":
            assert [name for name in order if name[0] == lane] == [f"{lane}{n}" for n in (3, 2, 1, 0)]

    async def test_a_long_wait_gives_its_place_to_others(self, play: Play) -> None:
        pipeline = letters(retry=ps.Retry(first=60))

        @pipeline.step
        async def work(letter: Letter) -> None:
            if letter == A:
                raise ConnectionError("reset")

        async with play.on(pipeline) as scene:
            task = asyncio.create_task(scene.run(A, Letter("b", "y"), Letter("c", "z"), lanes=1))

            async def others_went() -> bool:
                return [run.state for run in await scene.runs()] == ["waiting", "completed", "completed"]

            await until(others_went)
            await scene.client.cancel((await scene.runs())[0].number)
            assert (await task).states == ["cancelled", "completed", "completed"]

    async def test_cancel_interrupts_a_handler_and_closing_steps_still_run(self, play: Play) -> None:
        pipeline = letters()
        began, interrupted = asyncio.Event(), asyncio.Event()

        @pipeline.step
        async def work() -> None:
            began.set()
            try:
                await asyncio.sleep(60)
            finally:
                interrupted.set()

        @pipeline.step(after=work)
        async def never() -> None: ...

        @pipeline.step(when="always")
        async def close(ctx: ps.Context[Letter]) -> str:
            return ctx.outcome(work).state

        @pipeline.step(when="failed")
        async def withdraw() -> str:
            return "withdrawn"

        async with play.on(pipeline) as scene:
            await _cancel(scene, began)
            run = (await scene.runs())[0]
        assert interrupted.is_set()
        assert (run.state, run.error) == ("cancelled", None)
        assert [(step.step, step.state, step.output) for step in run.steps] == [
            ("work", "cancelled", None),
            ("never", "skipped", None),
            ("close", "completed", "cancelled"),
            ("withdraw", "completed", "withdrawn"),
        ]

    async def test_cancel_interrupts_a_thread(self, play: Play) -> None:
        pipeline = letters()
        began, loop = asyncio.Event(), asyncio.get_running_loop()
        ended = threading.Event()

        @pipeline.step
        def work() -> None:
            try:
                loop.call_soon_threadsafe(began.set)
                while True:
                    sum(range(1000))
            finally:
                ended.set()

        async with play.on(pipeline) as scene:
            await _cancel(scene, began)
            assert (await scene.runs())[0].state == "cancelled"
        assert ended.is_set()

    async def test_cancel_wakes_what_waits(self, play: Play) -> None:
        pipeline = letters(retry=ps.Retry(first=60))

        @pipeline.step
        async def work() -> None:
            raise ConnectionError("reset")

        async with play.on(pipeline) as scene:
            task = asyncio.create_task(scene.run())

            async def waits() -> bool:
                return [run.state for run in await scene.runs()] == ["waiting"]

            await until(waits)
            await scene.client.cancel(await scene.started())
            assert (await task).states == ["cancelled"]

    async def test_what_has_not_begun_is_cancelled_at_once(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work() -> None:
            raise AssertionError

        async with play.on(pipeline) as scene:
            plan = await scene.client.start(pipeline, units=[A, B])
            assert set((await scene.client.cancel(plan=plan.number)).values()) == {"cancelled"}
            assert await scene.client.work([pipeline]) == frozenset()

    async def test_a_paused_plan_starts_nothing_until_it_is_resumed(self, play: Play) -> None:
        pipeline = letters()
        called: list[Letter] = []

        @pipeline.step
        async def work(letter: Letter) -> None:
            called.append(letter)

        async with play.on(pipeline) as scene:
            plan = await scene.client.plan(pipeline, units=[A, B])
            await scene.client.pause(plan.number)
            summary = await scene.client.apply(plan)
            assert (summary.deferred, called) == (2, [])
            await scene.client.resume(plan.number)
            assert len(await scene.client.work([pipeline])) == 2
        assert called == [A, B]

    async def test_a_paused_pipeline_starts_nothing_until_it_is_resumed(self, play: Play) -> None:
        pipeline = letters()
        called: list[Letter] = []

        @pipeline.step
        async def work(letter: Letter) -> None:
            called.append(letter)

        async with play.on(pipeline) as scene:
            await scene.run(A)
            await scene.client.pause(pipeline=pipeline)
            assert (await scene.run(B)).summary.deferred == 1
            await scene.client.resume(pipeline=pipeline)
            assert len(await scene.client.work([pipeline])) == 1
        assert called == [A, B]

    async def test_a_summary_counts_once_what_the_plan_and_others_left(
        self, play: Play, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(results, "SHOWN", 2)  # more runs than are read at a time
        pipeline = letters(lane="name")

        @pipeline.step
        async def work(letter: Letter) -> None:
            if letter.name in "bd":
                raise ps.InvalidData(letter.name)

        async with play.on(pipeline) as scene:
            await scene.client.start(pipeline, units=[Letter(name) for name in "abc"])
            summary = await scene.client.run(pipeline, units=[Letter(name) for name in "defg"])
        assert summary.counts == {"completed": 5, "failed": 2}
        assert [run.units[0].name for run in summary.failed] == ["b", "d"]

    async def test_trying_a_run_again_takes_over_its_completed_steps(self, play: Play) -> None:
        pipeline = letters()
        called: list[str] = []

        @pipeline.step
        async def read() -> int:
            called.append("read")
            return 7

        @pipeline.step
        async def write(size: int = read.output) -> int:
            called.append("write")
            if len(called) == 2:
                raise ps.InvalidData("torn")
            return size

        async with play.on(pipeline) as scene:
            failed = (await scene.run()).run
            await scene.client.retry(failed.number)
            again = (await scene.finished())[-1]
        assert called == ["read", "write", "write"]
        assert (failed.state, again.state) == ("failed", "completed")
        assert [(step.state, step.output) for step in again.steps] == [("completed", 7), ("completed", 7)]

    async def test_an_apps_functions_are_called_after_the_commit(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work(letter: Letter) -> None:
            if letter == B:
                raise ps.InvalidData("torn")

        told: list[tuple[str, str, str | None]] = []
        app = ps.App("contract", [pipeline])

        @app.on("execution.failed")
        @app.on("execution.completed")
        async def tell(event: ps.Event, client: ps.Client) -> None:
            assert event.run is not None
            run = await client.show_run(event.run)
            told.append((event.type, run.state, run.error))

        async with play.of(app) as client:
            await client.run(pipeline, units=[A, B, C])
        assert Counter(told) == {
            ("execution.completed", "completed", None): 2,
            ("execution.failed", "failed", "torn"): 1,
        }

    async def test_events_are_told_in_order(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work(ctx: ps.Context[Letter]) -> None:
            ctx.progress(1, 2)

        events = (await play.run(pipeline)).events
        assert [event.type for event in events] == [
            "execution.started",
            "attempt.started",
            "progress",
            "attempt.completed",
            "execution.completed",
        ]
        assert {event.pipeline for event in events} == {"letters"}
        assert len({event.run for event in events}) == 1

    async def test_what_a_handler_says_is_kept(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work(ctx: ps.Context[Letter]) -> None:
            ctx.log.info("read", rows=3)

        async with play.on(pipeline) as scene:
            number = (await scene.run()).run.number
            lines = [(row["step"], row["level"], row["message"]) for row in await scene.client.logs(number)]
        assert lines == [("work", "info", "read")]


async def _cancel(scene: Scene, began: asyncio.Event) -> None:
    task = asyncio.create_task(scene.run())
    await soon(began)
    await scene.client.cancel(await scene.started())
    async with asyncio.timeout(10):
        await task
