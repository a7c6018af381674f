# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""Quotas: what handlers draw, what happens when there is no more, and that nothing is paid for twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import penstock as ps
from penstock.definition.context import running
from penstock.testing.contracts.engine_case import QUICK, EngineCase, Play, letters
from penstock.testing.contracts.engine_units import A, B, C, Letter

USD = ps.Quota("usd", 10)
CAP = ps.Quota("usd_a_run", 2, per="run")
SESSIONS = ps.Quota("sessions", 1, per=None)
CALLS = ps.Quota("calls", 100, costs={"prices": 1, "fundamentals": 10})
SOON = timedelta(seconds=0.7)


async def used(client: ps.Client, quota: ps.Quota) -> tuple[Decimal, Decimal]:
    """What is used of a quota, and how much of that is open."""
    return next((one.used, one.open) for one in await client.quotas() if one.name == quota.name)


class EngineQuotaContract(EngineCase):
    """Draws, holds and caps."""

    async def test_a_draw_is_settled_at_what_it_really_cost(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def ask(ctx: ps.Context[Letter], client: ps.Client) -> list[str]:
            async with ctx.spend(USD, Decimal("0.30")) as draw:
                before = await used(client, USD)
                draw.settle(Decimal("0.125"))
            return [str(before[0].normalize()), str(before[1].normalize()), str(draw.amount)]

        async with play.on(pipeline) as scene:
            played = await scene.run()
            assert played.outputs["ask"] == ["0.3", "0.3", "0.30"]
            assert await used(scene.client, USD) == (Decimal("0.125"), Decimal(0))

    async def test_a_call_that_fails_stays_at_its_worst_case_unless_it_is_settled(self, play: Play) -> None:
        pipeline = letters(retry=ps.Retry(attempts=1))

        @pipeline.step
        async def ask(ctx: ps.Context[Letter], letter: Letter) -> None:
            async with ctx.spend([USD, CAP], 1) as draw:
                if letter == B:
                    draw.settle(0)
                raise ConnectionError("reset")

        async with play.on(pipeline) as scene:
            await scene.run(A, B)
            assert await used(scene.client, USD) == (Decimal(1), Decimal(0))

    async def test_operations_are_priced_by_the_quota(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def ask(ctx: ps.Context[Letter]) -> None:
            async with ctx.spend(CALLS, "prices+fundamentals"):
                pass

        async with play.on(pipeline) as scene:
            await scene.run()
            assert (await used(scene.client, CALLS))[0] == 11

    async def test_a_spent_budget_makes_the_step_wait_and_uses_no_attempt(self, play: Play) -> None:
        pipeline = letters()
        numbers: list[int] = []

        @pipeline.step(retry=ps.Retry(attempts=1))
        async def ask(ctx: ps.Context[Letter]) -> None:
            numbers.append(ctx.attempt)
            if len(numbers) < 3:
                raise ps.QuotaSpent("the vendor's day is over", until=SOON)

        played = await play.run(pipeline)
        assert played.states == ["completed"]
        assert numbers == [1, 1, 1]
        assert len(played.waits) == 2
        assert played.run.steps[0].attempts == 1

    async def test_a_batch_that_is_held_does_nothing_twice(self, play: Play) -> None:
        pipeline = letters(batch=10)
        asked: list[str] = []

        @pipeline.step
        async def ask(letter: Letter) -> str:
            asked.append(letter.name)
            if asked == ["a", "b"]:
                raise ps.QuotaSpent("no more today", until=SOON)
            return letter.name

        @pipeline.step
        async def load(units: list[Letter], asked: list[str] = ask.outputs) -> list[str]:
            assert len(units) == 3
            return asked

        played = await play.run(pipeline, A, B, C)
        assert played.states == ["completed"]
        assert asked == ["a", "b", "b", "c"]
        assert played.outputs["load"] == ["a", "b", "c"]

    async def test_a_spent_budget_without_a_date_fails_the_run(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def ask() -> None:
            raise ps.QuotaSpent("no more")

        played = await play.run(pipeline)
        assert (played.states, played.run.error_class) == (["failed"], "quota")

    async def test_a_cap_per_run_ends_it(self, play: Play) -> None:
        pipeline = letters()
        drawn: list[str] = []

        @pipeline.step
        async def ask(ctx: ps.Context[Letter]) -> None:
            for _ in range(3):
                async with ctx.spend((CAP, USD), Decimal("0.9")):
                    drawn.append(ctx.unit.name)

        async with play.on(pipeline) as scene:
            played = await scene.run()
            assert (played.states, played.run.error_class) == (["failed"], "rejected")
            assert "usd_a_run: the cap of 2 a run has 0.2 left, and this may cost 0.9" in (played.run.error or "")
            assert drawn == ["a", "a"]
            assert (await used(scene.client, USD))[0] == Decimal("1.8")

    async def test_what_costs_more_than_the_limit_never_waits(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def ask(ctx: ps.Context[Letter]) -> None:
            async with ctx.spend(USD, 11):
                raise AssertionError

        played = await play.run(pipeline)
        assert (played.states, played.run.error_class) == (["failed"], "rejected")
        assert "more than the whole limit of 10" in (played.run.error or "")

    async def test_what_is_kept_is_not_paid_for_again(self, play: Play) -> None:
        pipeline = letters(retry=QUICK)
        paid: list[str] = []

        async def section(name: str) -> str:
            context = running()
            assert context is not None
            async with context.spend(USD, 1) as draw:
                if paid == ["one", "two"]:
                    paid.append("cut")
                    raise ConnectionError("cut")
                paid.append(name)
                draw.settle(Decimal("0.5"))
            return name.upper()

        @pipeline.step
        async def write(ctx: ps.Context[Letter]) -> list[str]:
            return [await ctx.once(name, section, name) for name in ("one", "two", "three")]

        async with play.on(pipeline) as scene:
            played = await scene.run()
            assert played.outputs["write"] == ["ONE", "TWO", "THREE"]
            assert paid == ["one", "two", "cut", "three"]
            assert await used(scene.client, USD) == (Decimal("2.5"), Decimal(0))

    async def test_sections_side_by_side_are_settled_each_with_its_own(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        async def write(ctx: ps.Context[Letter]) -> list[int]:
            async def section(number: int) -> int:
                async with ctx.spend(USD, 1) as draw:
                    await asyncio.sleep(0.01)
                    draw.settle(Decimal(number) / 10)
                return number

            return list(await asyncio.gather(*(ctx.once(str(n), section, n) for n in range(4))))

        async with play.on(pipeline) as scene:
            await scene.run()
            assert await used(scene.client, USD) == (Decimal("0.6"), Decimal(0))

    async def test_so_many_at_once_wait_for_each_other(self, play: Play) -> None:
        pipeline = letters()
        inside = most = 0

        @pipeline.step
        async def ask(ctx: ps.Context[Letter]) -> None:
            nonlocal inside, most
            async with ctx.spend(SESSIONS, 1):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.02)
                inside -= 1

        played = await play.run(pipeline, Letter("a", "1"), Letter("b", "2"), Letter("c", "3"))
        assert played.states == ["completed"] * 3
        assert most == 1

    async def test_a_handler_in_a_thread_knows_its_context_too(self, play: Play) -> None:
        pipeline = letters()

        @pipeline.step
        def name() -> str:
            context = running()
            return "" if context is None else context.unit.name

        played = await play.run(pipeline)
        assert played.outputs["name"] == "a"
        assert running() is None

    async def test_a_run_does_what_its_budget_admits_and_defers_the_rest(self, play: Play) -> None:
        pipeline = letters(cost={USD: 4})

        @pipeline.step
        async def ask(ctx: ps.Context[Letter]) -> None:
            async with ctx.spend(USD, 4):
                pass

        async with play.on(pipeline) as scene:
            units = [A, B, C]
            plan = await scene.client.plan(scene.pipeline, units=units)
            assert (len(plan), plan.admitted, plan.cost) == (3, 2, {"usd": Decimal(12)})
            assert [(late.quota, late.count) for late in plan.deferred] == [("usd", 1)]
            gaps = [gap async for gap in scene.client.gaps(plan)]
            assert [(gap.cost, gap.deferred) for gap in gaps] == [({"usd": Decimal(4)}, None)] * 2 + [
                ({"usd": Decimal(4)}, "usd")
            ]
            played = await scene.run(*units)
            assert (played.states, played.summary.ok) == (["completed"] * 2, True)
            again = await scene.client.plan(scene.pipeline, units=units)
            assert (len(again), again.admitted) == (1, 0)
