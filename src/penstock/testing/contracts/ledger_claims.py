# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What a claim promises: one run a lane, in order, each under a fence of its own."""

from __future__ import annotations

import asyncio

from penstock.testing.contracts.ledger_case import LedgerCase, Stage, listed, names, over


class ClaimContract(LedgerCase):
    """Who gets which run when."""

    async def test_a_lane_gives_one_run_at_a_time_in_plan_order(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "abc"))
        worker = await stage.worker()
        order: list[str] = []
        for _ in range(3):
            claimed = await stage.one(worker)
            assert not await stage.claim(worker)
            order += names(claimed)
            await worker.end(over(claimed))
        assert order == ["a", "b", "c"]
        assert not await stage.claim(worker)

    async def test_a_lane_that_is_let_go_may_be_had_by_the_claim_that_comes_with_it(self, stage: Stage) -> None:
        """The claim has it then, and the end does not: else nobody would carry it."""
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker = await stage.worker()
        first = await stage.one(worker)
        following, claimed = await asyncio.gather(worker.end(over(first)), stage.claim(worker))
        assert following is None
        assert [names(run) for run in claimed or await stage.claim(worker)] == [["b"]]

    async def test_no_lane_is_given_twice(self, stage: Stage) -> None:
        await stage.apply(*(listed(f"{lane}{n}", lane=str(lane)) for lane in range(20) for n in range(3)))
        workers = [await stage.worker(f"w{n}") for n in range(4)]
        claimed = await asyncio.gather(*(stage.claim(worker, 8) for worker in workers))
        lanes = [run.hold.lane for runs in claimed for run in runs]
        assert len(lanes) == len(set(lanes))
        rest = await asyncio.gather(*(stage.claim(worker, 20) for worker in workers))
        lanes += [run.hold.lane for runs in rest for run in runs]
        assert len(lanes) == len(set(lanes)) == 20

    async def test_in_a_lane_a_higher_priority_goes_first(self, stage: Stage) -> None:
        await stage.apply(listed("a", lane="x"), listed("b", lane="x"))
        await stage.apply(listed("c", lane="x"), priority=5)
        worker = await stage.worker()
        order: list[str] = []
        for _ in range(3):
            claimed = await stage.one(worker)
            order += names(claimed)
            await worker.end(over(claimed))
        assert order == ["c", "a", "b"]

    async def test_a_running_run_is_not_preempted(self, stage: Stage) -> None:
        await stage.apply(listed("a", lane="x"))
        worker = await stage.worker()
        first = await stage.one(worker)
        await stage.apply(listed("b", lane="x"), priority=5)
        assert not await stage.claim(worker)
        await worker.end(over(first))
        assert names(await stage.one(worker)) == ["b"]

    async def test_lanes_are_given_in_the_order_in_which_they_became_ready(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane=name) for name in "dacb"))
        worker = await stage.worker()
        order = [names(run)[0] for _ in range(2) for run in await stage.claim(worker, 2)]
        assert order == ["d", "a", "c", "b"]

    async def test_between_lanes_priority_is_a_start(self, stage: Stage) -> None:
        await stage.apply("a")
        await stage.apply(listed("b", priority=3))
        worker = await stage.worker()
        assert [names(run)[0] for _ in range(2) for run in await stage.claim(worker, 1)] == ["b", "a"]

    async def test_no_more_are_given_than_were_asked_for(self, stage: Stage) -> None:
        await stage.apply(*"abcde")
        worker = await stage.worker()
        assert [len(await stage.claim(worker, 2)) for _ in range(4)] == [2, 2, 1, 0]

    async def test_only_runs_of_the_named_pipelines_are_given(self, stage: Stage) -> None:
        await stage.apply("a", pipeline="one")
        await stage.apply("a", pipeline="two")
        worker = await stage.worker()
        assert not await stage.claim(worker, pipelines=[])
        assert not await stage.claim(worker, pipelines=["nowhere"])
        assert (await stage.one(worker, ["two"])).pipeline == "two"
        assert not await stage.claim(worker, pipelines=["two"])
        assert (await stage.one(worker, ["one", "two"])).pipeline == "one"

    async def test_every_pipeline_gets_its_turn(self, stage: Stage) -> None:
        await stage.apply(*(f"u{n}" for n in range(10)), pipeline="one")
        await stage.apply("a", pipeline="two")
        claimed = await stage.claim(await stage.worker(), 4, ["one", "two"])
        assert {run.pipeline for run in claimed} == {"one", "two"}

    async def test_pipelines_of_one_space_share_its_lanes(self, stage: Stage) -> None:
        await stage.apply(listed("a", lane="x"), pipeline="one", space="shared")
        await stage.apply(listed("a", lane="x"), pipeline="two", space="shared")
        worker = await stage.worker()
        first = await stage.one(worker, ["one", "two"])
        assert first.pipeline == "one"
        await worker.end(over(first))
        assert (await stage.one(worker, ["one", "two"])).pipeline == "two"

    async def test_a_fence_rises_with_every_claim(self, stage: Stage) -> None:
        worker, first = await stage.begin("a")
        await stage.rest(worker, first, 0.0)
        second = await stage.due(worker)
        assert (second.hold.run, second.hold.lane, second.claims) == (first.hold.run, first.hold.lane, 2)
        assert second.hold.fence > first.hold.fence
        assert second.started == first.started

    async def test_keep_goes_on_with_the_lane_in_the_same_commit(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker = await stage.worker()
        first = await stage.one(worker)
        second = await worker.end(over(first, keep=True))
        assert second is not None
        assert (names(second), second.hold.lane, second.claims) == (["b"], first.hold.lane, 1)
        assert second.hold.fence > first.hold.fence
        assert not await stage.claim(worker)
        assert await worker.end(over(second, keep=True)) is None
        assert not await stage.claim(worker)

    async def test_without_keep_the_lane_is_anyones(self, stage: Stage) -> None:
        await stage.apply(*(listed(name, lane="x") for name in "ab"))
        worker, other = await stage.worker(), await stage.worker("other")
        assert await worker.end(over(await stage.one(worker))) is None
        assert names(await stage.one(other)) == ["b"]

    async def test_a_lane_that_was_empty_wakes_for_new_work(self, stage: Stage) -> None:
        worker = await stage.worker()
        for name in "abc":
            await stage.apply(listed(name, lane="x"))
            claimed = await stage.one(worker)
            assert names(claimed) == [name]
            await worker.end(over(claimed, keep=True))
