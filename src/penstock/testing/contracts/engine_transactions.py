# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What a step's transaction promises: its rows are there exactly once, together with the step's record."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import penstock as ps
from penstock.testing.contracts.engine_case import QUICK, EngineCase, Play, Scene, letters
from penstock.testing.contracts.engine_units import A, B, C, Letter

TABLE = "create table rows (name text primary key, other text references rows deferrable initially deferred)"
INSERT = "insert into rows values (%(name)s, %(other)s)"


class TransactionContract(EngineCase):
    """Steps that ask for `ps.Transaction`."""

    @pytest.fixture
    def writing(self, play: Play) -> Play:
        """The stage, if steps can write there."""
        if not self.has_database:
            pytest.skip("this ledger has no database")
        return play

    async def test_rows_are_there_once_however_often_the_step_was_tried(self, writing: Play) -> None:
        pipeline = letters(retry=QUICK)

        @pipeline.step
        async def load(ctx: ps.Context[Letter], db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": ctx.unit.name, "other": None})
            if ctx.attempt < 3:
                raise ConnectionError("reset")

        assert await _played(writing, pipeline, A) == (["completed"], ["a"])

    async def test_rows_are_not_seen_before_the_step_has_returned(self, writing: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def load(ctx: ps.Context[Letter], db: ps.Transaction) -> int:
            await db.execute(INSERT, {"name": ctx.unit.name, "other": None})
            async with ctx.connection() as outside:
                return len(await (await outside.execute("select from rows")).fetchall())

        @pipeline.step
        async def look(ctx: ps.Context[Letter], before: int = load.output) -> tuple[int, int]:
            async with ctx.connection() as outside:
                return before, len(await (await outside.execute("select from rows")).fetchall())

        async with writing.on(pipeline) as scene:
            await _make_table(scene)
            assert (await scene.run()).outputs == {"load": 0, "look": (0, 1)}

    async def test_an_exception_takes_back_all_of_it(self, writing: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            raise ps.InvalidData("torn")

        assert await _played(writing, pipeline, A) == (["failed"], [])

    async def test_a_step_that_is_skipped_writes_nothing(self, writing: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            raise ps.Skip

        assert await _played(writing, pipeline, A) == (["completed"], [])

    async def test_an_output_that_does_not_fit_takes_back_the_rows(self, writing: Play) -> None:
        pipeline = letters()
        answer: Any = "one"

        @pipeline.step
        async def load(letter: Letter, db: ps.Transaction) -> int:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            return answer  # type: ignore[no-any-return]

        assert await _played(writing, pipeline, A) == (["failed"], [])

    async def test_a_handler_whose_time_is_over_has_written_nothing(self, writing: Play) -> None:
        pipeline = letters(retry={"timeout": ps.Retry(attempts=1)})

        @pipeline.step(timeout=0.2)
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            await asyncio.sleep(60)

        assert await _played(writing, pipeline, A) == (["failed"], [])

    async def test_what_fails_at_the_commit_fails_the_step(self, writing: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": "nobody"})

        async with writing.on(pipeline) as scene:
            await _make_table(scene)
            run = (await scene.run()).run
            assert (run.state, run.error_class) == ("failed", "data")
            assert await _rows(scene) == []

    async def test_a_failed_statement_that_was_caught_is_still_a_failure(self, writing: Play) -> None:
        pipeline = letters(retry={"unknown": ps.Retry(attempts=1)})

        @pipeline.step
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            with pytest.raises(Exception, match="does not exist"):
                await db.execute("select * from nowhere")

        assert await _played(writing, pipeline, A) == (["failed"], [])

    async def test_in_a_batch_each_unit_has_a_transaction_of_its_own(self, writing: Play) -> None:
        pipeline = letters(batch=10)

        @pipeline.step(parallel=2)
        async def load(letter: Letter, db: ps.Transaction) -> None:
            await db.execute(INSERT, {"name": letter.name, "other": None})
            if letter == B:
                raise ps.InvalidData("torn")

        assert await _played(writing, pipeline, A, B, C) == (["partial"], ["a", "c"])

    async def test_a_unit_taken_out_of_a_batch_leaves_the_transaction_whole(self, writing: Play) -> None:
        pipeline = letters(batch=10)

        @pipeline.step
        async def load(units: list[Letter], ctx: ps.Context[Letter], db: ps.Transaction) -> None:
            for letter in units:
                if letter == B:
                    ctx.fail(letter, ps.InvalidData("torn"))
                else:
                    await db.execute(INSERT, {"name": letter.name, "other": None})

        assert await _played(writing, pipeline, A, B, C) == (["partial"], ["a", "c"])


async def _make_table(scene: Scene) -> None:
    async with scene.client.connection() as connection:
        await connection.execute(TABLE)


async def _rows(scene: Scene) -> list[str]:
    async with scene.client.connection() as connection:
        found = await (await connection.execute("select name from rows order by name")).fetchall()
    return [name for (name,) in found]


async def _played(play: Play, pipeline: ps.Pipeline[Letter], *units: Letter) -> tuple[list[str], list[str]]:
    """How the runs ended, and the rows that are there then."""
    async with play.on(pipeline) as scene:
        await _make_table(scene)
        played = await scene.run(*units)
        return played.states, await _rows(scene)
