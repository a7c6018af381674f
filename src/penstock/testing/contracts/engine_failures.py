# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What a failure means: another attempt, a wait, a verdict, and which steps still run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import penstock as ps
from penstock.testing.contracts.engine_case import QUICK, EngineCase, Play, letters
from penstock.testing.contracts.engine_computing import deadly
from penstock.testing.contracts.engine_units import A, Letter


class FailureContract(EngineCase):
    """Retries, skips, memory, `on_failure`, closing steps."""

    async def test_a_failure_is_tried_again_after_exactly_its_waits(self, play: Play) -> None:
        pipeline = letters(retry=QUICK)

        @pipeline.step
        async def work(ctx: ps.Context[Letter]) -> int:
            if ctx.attempt < 3:
                raise ConnectionError("reset")
            return ctx.attempt

        played = await play.run(pipeline)
        assert played.outputs == {"work": 3}
        assert played.waits == [0.05, 0.1]
        assert played.run.steps[0].attempts == 3

    async def test_attempts_are_counted_by_class(self, play: Play) -> None:
        pipeline = letters(retry=ps.Retry(attempts=2, first=0.01, jitter=False))
        errors = [ConnectionError("a"), TimeoutError("b"), RuntimeError("c"), ConnectionError("d")]

        @pipeline.step
        async def work() -> None:
            raise errors.pop(0)

        played = await play.run(pipeline)
        assert (played.run.error, played.run.error_class, played.run.steps[0].attempts) == ("d", "network", 4)

    async def test_a_servers_own_time_holds(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work(ctx: ps.Context[Letter]) -> None:
            if ctx.attempt == 1:
                raise ps.RateLimited("slowly", retry_after=0.2)

        played = await play.run(pipeline)
        assert played.states == ["completed"]
        assert len(played.waits) == 1
        assert 0.1 < played.waits[0] <= 0.2

    async def test_an_apps_own_table_of_errors_comes_first(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work() -> None:
            raise LookupError("vendor is down")

        async with play.on(pipeline, errors={LookupError: "rejected"}) as scene:
            played = await scene.run()
        assert played.run.error_class == "rejected"
        assert played.run.steps[0].attempts == 1

    async def test_a_skipped_step_lets_the_run_go_on(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def translate() -> str:
            raise ps.Skip("it is English")

        @pipeline.step(after=translate)
        async def send(ctx: ps.Context[Letter]) -> str | None:
            outcome = ctx.outcome(translate)
            return f"{outcome.state} {outcome.output} {outcome.error}"

        played = await play.run(pipeline)
        assert played.states == ["completed"]
        assert played.steps == {"translate": "skipped", "send": "completed"}
        assert played.outputs["send"] == "skipped None it is English"

    async def test_the_output_of_a_skipped_step_is_missed_by_name(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def translate() -> str:
            raise ps.Skip

        @pipeline.step
        async def send(text: str = translate.output) -> None: ...

        run = (await play.run(pipeline)).run
        assert run.error == (
            "letters.translate.output was asked for, but translate was skipped and gave none. Say after=translate and "
            "read ctx.outcome(translate), whose output is None then."
        )

    async def test_no_data_is_remembered(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work() -> None:
            raise ps.NoData("no transcript", until=timedelta(days=3))

        async with play.on(pipeline) as scene:
            played = await scene.run()
            assert (played.run.error, played.run.error_class) == ("no transcript", "no_data")
            plan = await scene.client.plan(pipeline, units=[A])
            assert len(plan) == 0
            assert [(held.verdict, held.count) for held in plan.remembered] == [("no_data", 1)]

    @pytest.mark.parametrize(
        ("on_failure", "state", "steps"),
        [
            ("stop", "failed", {"bad": "failed", "good": "completed", "needs_bad": "skipped", "after_good": "skipped"}),
            (
                "continue",
                "partial",
                {"bad": "failed", "good": "completed", "needs_bad": "completed", "after_good": "completed"},
            ),
            (
                "skip_downstream",
                "partial",
                {"bad": "failed", "good": "completed", "needs_bad": "skipped", "after_good": "completed"},
            ),
        ],
    )
    async def test_what_a_failure_does_to_the_rest(
        self, play: Play, on_failure: Any, state: str, steps: dict[str, str]
    ) -> None:
        pipeline = letters()

        @pipeline.step
        async def good() -> None: ...

        @pipeline.step(after=good, on_failure=on_failure)
        async def bad() -> None:
            raise ps.InvalidData("bad")

        @pipeline.step(after=bad)
        async def needs_bad(ctx: ps.Context[Letter]) -> str:
            return ctx.outcome(bad).state

        @pipeline.step(after=[good] if on_failure != "stop" else [bad, good])
        async def after_good() -> None: ...

        played = await play.run(pipeline)
        assert (played.run.state, played.run.failed_step, played.run.error) == (state, "bad", "bad")
        assert played.steps == steps

    @pytest.mark.parametrize("fails", [False, True])
    async def test_closing_steps_run_one_by_one_when_all_else_is_over(self, play: Play, *, fails: bool) -> None:
        pipeline = letters()
        order: list[str] = []

        @pipeline.step(when="always")
        async def last(ctx: ps.Context[Letter]) -> None:
            order.append(f"last {ctx.outcome(work).state}")

        @pipeline.step(when="failed")
        async def withdraw(ctx: ps.Context[Letter]) -> None:
            order.append(f"withdraw {ctx.outcome(create).output}")

        @pipeline.step
        async def create() -> int:
            return 7

        @pipeline.step(after=create)
        async def work() -> None:
            if fails:
                raise ps.InvalidData("no")

        played = await play.run(pipeline)
        assert order == (["last failed", "withdraw 7"] if fails else ["last completed"])
        assert played.states == ["failed" if fails else "completed"]
        assert played.steps["withdraw"] == ("completed" if fails else "skipped")

    async def test_a_failed_closing_step_makes_a_run_partial(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def work() -> None: ...

        @pipeline.step(when="always")
        async def close() -> None:
            raise ps.InvalidData("cannot close")

        assert (await play.run(pipeline)).states == ["partial"]

    async def test_a_process_that_dies_in_a_computation_is_a_failure_of_its_step(self, play: Play) -> None:
        played = await play.run(deadly)
        assert (played.run.state, played.run.error_class) == ("failed", "unknown")
        assert played.run.error == "the worker process ended without an answer (exit code 1)"
