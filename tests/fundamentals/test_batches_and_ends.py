"""Batches, failures that do not stop a run, closing steps and cancelling, one idea a test."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import penstock as ps
from penstock.testing import Simulation


class Asset(NamedTuple):
    symbol: str


A, B, C = Asset("A"), Asset("B"), Asset("C")


def test_a_batch_calls_a_step_once_per_unit_or_once_for_all() -> None:
    prices = ps.Pipeline("prices", Asset, batch=10)

    @prices.step
    async def fetch(asset: Asset) -> str:
        return asset.symbol.lower()

    @prices.step
    async def load(assets: list[Asset], fetched: list[str] = fetch.outputs) -> int:
        assert (assets, fetched) == ([A, B, C], ["a", "b", "c"])
        return len(assets)

    sim = Simulation(prices, wanted=[A, B, C])
    assert sim.run().counts == {"completed": 1}
    assert sim.calls(fetch) == [A, B, C]


def test_a_failed_unit_leaves_the_batch_and_the_rest_goes_on() -> None:
    prices = ps.Pipeline("prices", Asset, batch=10)

    @prices.step
    async def fetch(asset: Asset) -> str:
        if asset == B:
            raise ps.InvalidData("no such symbol")
        return asset.symbol

    @prices.step(after=fetch)
    async def load(assets: list[Asset]) -> int:
        return len(assets)

    sim = Simulation(prices, wanted=[A, B, C])
    summary = sim.run()
    assert summary.counts == {"partial": 1}
    assert summary.failed[0].error == "no such symbol"
    assert sim.calls(load) == [A, C]


def test_a_batch_of_which_no_unit_is_left_failed_for_what_failed_its_first() -> None:
    prices = ps.Pipeline("prices", Asset, batch=10)

    @prices.step
    async def fetch(asset: Asset) -> str:
        raise ps.InvalidData(f"{asset.symbol} is no symbol")

    summary = Simulation(prices, wanted=[A, B]).run()
    assert summary.counts == {"failed": 1}
    assert (summary.failed[0].error_class, summary.failed[0].error) == ("data", "A is no symbol (and 1 more units)")


def test_a_unit_that_may_be_tried_again_gets_a_run_of_its_own() -> None:
    prices = ps.Pipeline("prices", Asset, batch=10)
    failures = [ConnectionError("reset")]

    @prices.step
    async def fetch(asset: Asset) -> str:
        if asset == B and failures:
            raise failures.pop()
        return asset.symbol

    sim = Simulation(prices, wanted=[A, B, C])
    assert sim.run().ok
    assert [(run.state, len(run.units)) for run in sim.runs] == [("partial", 3), ("completed", 1)]
    assert sim.calls(fetch) == [A, B, C, B]


def test_a_failure_need_not_stop_the_run() -> None:
    prospects = ps.Pipeline("prospects", Asset)

    @prospects.step(on_failure="continue")
    async def scores() -> int:
        raise ps.InvalidData("bad scores")

    @prospects.step(after=scores)
    async def publish(ctx: ps.Context[Asset]) -> str:
        return f"{ctx.outcome(scores).state}: {ctx.outcome(scores).error}"

    sim = Simulation(prospects, wanted=[A])
    assert sim.run().counts == {"partial": 1}
    assert sim.runs[0].steps[1].output == "failed: bad scores"


def test_a_closing_step_takes_back_what_a_failed_run_has_begun() -> None:
    onboarding = ps.Pipeline("onboarding", Asset)

    @onboarding.step
    async def create() -> int:
        return 7

    @onboarding.step(after=create)
    async def verify() -> None:
        raise ps.AuthFailed("no such account")

    taken_back: list[int | None] = []

    @onboarding.step(when="failed")
    async def withdraw(ctx: ps.Context[Asset]) -> None:
        taken_back.append(ctx.outcome(create).output)

    sim = Simulation(onboarding, wanted=[A])
    assert sim.run().counts == {"failed": 1}
    assert taken_back == [7]


def test_cancelling_interrupts_the_step_and_still_runs_closing_steps() -> None:
    closed: list[str] = []
    long = ps.Pipeline("long", Asset)

    @long.step
    async def work(ctx: ps.Context[Asset], penstock: ps.Client) -> None:
        await penstock.cancel(ctx.run_id)
        await asyncio.sleep(3600)

    @long.step(when="always")
    async def close(ctx: ps.Context[Asset]) -> None:
        closed.append(ctx.outcome(work).state)

    sim = Simulation(long, wanted=[A])
    assert sim.run().counts == {"cancelled": 1}
    assert closed == ["cancelled"]
    assert sim.elapsed.total_seconds() < 1


def test_a_step_ends_when_its_time_is_over() -> None:
    slow = ps.Pipeline("slow", Asset, retry={"timeout": ps.Retry(attempts=1)})

    @slow.step(timeout=60)
    async def work() -> None:
        await asyncio.sleep(3600)

    sim = Simulation(slow, wanted=[A])
    assert sim.run().failed[0].error == "slow.work took longer than 60 s"
    assert sim.elapsed.total_seconds() == 60
