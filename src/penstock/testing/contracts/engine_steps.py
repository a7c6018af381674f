# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What steps may rely on: order, outputs, their context, and where they are called."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

import penstock as ps
from penstock.testing.contracts.engine_case import QUICK, EngineCase, Play, letters, soon
from penstock.testing.contracts.engine_computing import endless, squares
from penstock.testing.contracts.engine_units import A, B, Letter


class Priced(BaseModel):
    """An output with types that JSON has not."""

    at: datetime
    price: Decimal


class StepContract(EngineCase):
    """Steps that go well, and outputs that do not fit."""

    async def test_steps_run_after_those_that_they_name_and_branches_side_by_side(self, play: Play) -> None:
        order: list[str] = []
        left_began, right_began = asyncio.Event(), asyncio.Event()
        pipeline = letters()

        @pipeline.step
        async def first() -> None:
            order.append("first")

        @pipeline.step(after=first)
        async def left() -> None:
            left_began.set()
            await soon(right_began)

        @pipeline.step(after=first)
        async def right() -> None:
            right_began.set()
            await soon(left_began)

        @pipeline.step(after=[left, right])
        async def last() -> None:
            order.append("last")

        played = await play.run(pipeline)
        assert set(played.steps.values()) == {"completed"}
        assert order == ["first", "last"]

    async def test_an_output_is_given_to_later_steps_in_its_own_type(self, play: Play) -> None:
        pipeline = letters()
        priced = Priced(at=datetime(2026, 1, 31, tzinfo=UTC), price=Decimal("1.50"))
        seen: list[object] = []

        @pipeline.step
        async def price() -> Priced:
            return priced

        @pipeline.step
        async def double(one: Priced = price.output) -> Decimal:
            seen.append(one)
            return one.price * 2

        @pipeline.step
        def show(one: Priced = price.output, two: Decimal = double.output) -> str:
            return f"{one.price} {two}"

        played = await play.run(pipeline)
        assert seen == [priced]
        assert played.outputs == {"price": priced, "double": Decimal("3.00"), "show": "1.50 3.00"}

    async def test_a_context_knows_run_attempt_unit_and_folder(self, play: Play) -> None:
        pipeline = letters(retry=QUICK)
        seen: list[tuple[Any, ...]] = []

        @pipeline.step
        async def look(ctx: ps.Context[Letter]) -> None:
            seen.append((ctx.run_id, ctx.attempt, ctx.unit, list(ctx.units), ctx.forced, ctx.workdir))
            (ctx.workdir / str(ctx.attempt)).touch()
            assert abs((ctx.now() - datetime.now(UTC)).total_seconds()) < 60
            if ctx.attempt == 1:
                raise ps.NetworkError("reset")
            assert sorted(path.name for path in ctx.workdir.iterdir()) == ["1", "2"]

        played = await play.run(pipeline)
        assert played.states == ["completed"]
        run, folder = played.run.id, seen[0][-1]
        assert seen == [(run, 1, A, [A], False, folder), (run, 2, A, [A], False, folder)]
        assert not folder.exists()

    async def test_what_is_done_once_is_given_back_to_a_later_attempt(self, play: Play) -> None:
        pipeline = letters(retry=QUICK)
        asked: list[str] = []

        async def ask(topic: str) -> Priced:
            asked.append(topic)
            return Priced(at=datetime(2026, 1, 31, tzinfo=UTC), price=Decimal(len(asked)))

        @pipeline.step
        async def write(ctx: ps.Context[Letter]) -> list[Priced]:
            sections = [await ctx.once(topic, ask, topic) for topic in ("income", "credit")]
            if ctx.attempt == 1:
                raise ps.NetworkError("reset")
            return [*sections, await ctx.once("capital", ask, "capital")]

        played = await play.run(pipeline)
        assert asked == ["income", "credit", "capital"]
        assert [one.price for one in played.outputs["write"]] == [1, 2, 3]

    async def test_a_plain_function_runs_in_a_thread_and_holds_nobody_up(self, play: Play) -> None:
        pipeline = letters()
        both = threading.Barrier(2, timeout=10)

        @pipeline.step
        def work() -> bool:
            both.wait()
            return threading.current_thread() is threading.main_thread()

        played = await play.run(pipeline, A, Letter("b", "y"))
        assert [run.steps[0].output for run in played.runs] == [False, False]

    async def test_a_function_that_computes_runs_in_another_process(self, play: Play) -> None:
        played = await play.run(squares)
        pid, of = played.outputs["where"]
        assert (played.outputs["square"], of) == (97**2, 97**2)
        assert pid != os.getpid()

    async def test_a_handler_whose_time_is_over_is_gone_before_the_next_attempt(self, play: Play) -> None:
        pipeline = letters(retry={"timeout": QUICK})
        inside: list[int] = []

        @pipeline.step(timeout=0.1)
        async def wait(ctx: ps.Context[Letter]) -> int:
            assert not inside
            inside.append(ctx.attempt)
            try:
                await asyncio.sleep(60 if ctx.attempt == 1 else 0)
            finally:
                inside.clear()
            return ctx.attempt

        played = await play.run(pipeline)
        assert played.outputs == {"wait": 2}
        failed = [event.data["error"] for event in played.events if event.type == "attempt.failed"]
        assert failed == ["letters.wait took longer than 0.1 s"]

    async def test_a_thread_is_interrupted_when_its_time_is_over(self, play: Play) -> None:
        pipeline = letters(retry={"timeout": ps.Retry(attempts=1)})
        ended = threading.Event()

        @pipeline.step(timeout=0.1)
        def work() -> None:
            try:
                while True:
                    sum(range(1000))
            finally:
                ended.set()

        played = await play.run(pipeline)
        assert (played.run.error_class, played.run.error) == ("timeout", "letters.work took longer than 0.1 s")
        assert ended.is_set()

    async def test_a_process_is_killed_when_its_time_is_over(self, play: Play) -> None:
        played = await play.run(endless)
        assert (played.run.error_class, played.run.error) == ("timeout", "endless.turn took longer than 0.3 s")

    async def test_a_run_has_a_deadline_and_closing_steps_run_after_it(self, play: Play) -> None:
        pipeline = letters(timeout=0.2)

        @pipeline.step
        async def wait() -> None:
            await asyncio.sleep(60)

        @pipeline.step(when="always")
        async def close() -> str:
            return "closed"

        played = await play.run(pipeline)
        assert (played.run.state, played.run.error_class) == ("failed", "deadline")
        assert played.run.error == "the run took longer than 0.2 s"
        assert played.outputs == {"wait": None, "close": "closed"}

    async def test_an_output_that_is_too_large_is_refused(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def read() -> str:
            return "x" * 70_000

        run = (await play.run(pipeline)).run
        assert run.error_class == "data"
        assert run.error is not None
        assert run.error.startswith("letters.read returned 70002 bytes of JSON; an output is at most 65536.")

    async def test_an_output_of_another_type_is_refused(self, play: Play) -> None:
        pipeline = letters()
        answer: Any = "one"

        @pipeline.step
        async def count() -> int:
            return answer  # type: ignore[no-any-return]

        run = (await play.run(pipeline)).run
        assert run.error_class == "data"
        assert run.error is not None
        assert run.error.startswith("letters.count returned str, which does not fit its annotation")

    @pytest.mark.parametrize(
        "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), StopIteration()]
    )
    @pytest.mark.parametrize("plain", [False, True])
    async def test_whatever_a_handler_raises_fails_its_step_alone(
        self, play: Play, error: BaseException, *, plain: bool
    ) -> None:
        pipeline = letters(retry={"unknown": ps.Retry(attempts=1)})

        async def work(letter: Letter) -> str:
            if letter == A:
                raise error
            return letter.name

        def plain_work(letter: Letter) -> str:
            if letter == A:
                raise error
            return letter.name

        pipeline.step(name="work")(plain_work if plain else work)
        played = await play.run(pipeline, A, B)
        assert played.states == ["failed", "completed"]
        assert played.runs[0].error_class == "unknown"
