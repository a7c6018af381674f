# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What batches promise: units fail alone, survivors go on, what may be tried again gets a run of its own."""

from __future__ import annotations

import asyncio

import penstock as ps
from penstock.testing.contracts.engine_case import QUICK, EngineCase, Play, letters
from penstock.testing.contracts.engine_units import A, B, C, Letter


class EngineBatchContract(EngineCase):
    """Steps per unit and per batch."""

    async def test_a_step_is_called_per_unit_or_once_for_all(self, play: Play) -> None:
        pipeline = letters(batch=10)

        @pipeline.step
        async def fetch(letter: Letter, ctx: ps.Context[Letter]) -> str:
            assert (ctx.unit, list(ctx.units)) == (letter, [letter])
            return letter.name * 2

        @pipeline.step
        def shout(text: str = fetch.output) -> str:
            return text.upper()

        @pipeline.step
        async def load(
            units: list[Letter], fetched: list[str] = fetch.outputs, shouted: list[str] = shout.outputs
        ) -> int:
            assert (units, fetched, shouted) == ([A, B, C], ["aa", "bb", "cc"], ["AA", "BB", "CC"])
            return len(units)

        played = await play.run(pipeline, A, B, C)
        assert played.states == ["completed"]
        assert played.outputs["load"] == 3

    async def test_units_are_worked_on_so_many_at_once(self, play: Play) -> None:
        pipeline = letters(batch=10)
        inside = most = 0

        @pipeline.step(parallel=2)
        async def fetch() -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

        await play.run(pipeline, *(Letter(str(n)) for n in range(6)))
        assert most == 2

    async def test_a_failed_unit_is_out_and_the_others_go_on(self, play: Play) -> None:
        pipeline = letters(batch=10)
        loaded: list[Letter] = []

        @pipeline.step
        async def fetch(letter: Letter) -> str:
            if letter == B:
                raise ps.InvalidData("no such letter")
            return letter.name

        @pipeline.step
        async def load(units: list[Letter], fetched: list[str] = fetch.outputs) -> None:
            assert fetched == ["a", "c"]
            loaded.extend(units)

        async with play.on(pipeline) as scene:
            played = await scene.run(A, B, C)
            assert (played.states, loaded) == (["partial"], [A, C])
            assert (played.run.error, played.run.error_class) == ("no such letter", "data")
            rows = {row["verdict"] for row in await scene.client.units(pipeline)}
            assert rows == {"completed", "failed"}

    async def test_a_unit_that_may_be_tried_again_gets_a_run_of_its_own(self, play: Play) -> None:
        pipeline = letters(batch=10, retry=QUICK)
        called: list[Letter] = []

        @pipeline.step
        async def fetch(letter: Letter) -> None:
            called.append(letter)
            if letter == B and called.count(B) < 3:
                raise ConnectionError("reset")

        async with play.on(pipeline) as scene:
            await scene.run(A, B, C)
            runs = await scene.finished()
        assert [(run.state, list(run.units)) for run in runs] == [
            ("partial", [A, B, C]),
            ("failed", [B]),
            ("completed", [B]),
        ]
        assert called == [A, B, C, B, B]

    async def test_a_step_for_all_takes_single_units_out(self, play: Play) -> None:
        pipeline = letters(batch=10)

        @pipeline.step
        async def load(units: list[Letter], ctx: ps.Context[Letter]) -> int:
            ctx.fail(units[1], ps.InvalidData("torn"))
            return len(units)

        @pipeline.step(after=load)
        async def check(units: list[Letter]) -> list[str]:
            return [letter.name for letter in units]

        played = await play.run(pipeline, A, B, C)
        assert (played.states, played.run.error) == (["partial"], "torn")
        assert played.outputs == {"load": 3, "check": ["a", "c"]}

    async def test_a_step_that_fails_for_all_lets_its_units_travel_alone(self, play: Play) -> None:
        pipeline = letters(batch=10)
        sizes: list[int] = []

        @pipeline.step
        async def load(units: list[Letter]) -> None:
            sizes.append(len(units))
            if len(units) > 1:
                raise ps.InvalidData("one of them is bad")

        async with play.on(pipeline) as scene:
            assert (await scene.run(A, B, C)).states == ["failed"]
            again = await scene.run(A, B, C, force=True)
        assert sizes == [3, 1, 1, 1]
        assert again.summary.counts == {"completed": 3}

    async def test_no_unit_left_fails_the_run(self, play: Play) -> None:
        pipeline = letters(batch=10)

        @pipeline.step
        async def fetch(letter: Letter) -> None:
            raise ps.InvalidData(f"no {letter.name}")

        @pipeline.step(after=fetch)
        async def load(units: list[Letter]) -> None: ...

        played = await play.run(pipeline, A, B)
        assert played.states == ["failed"]
        assert played.steps == {"fetch": "completed", "load": "skipped"}
