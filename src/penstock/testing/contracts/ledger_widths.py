# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""Plans that are only so wide: no more of their runs are at work at once, whoever carries them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from penstock.model.attempt import Instant, PlanId
from penstock.model.quota import Quota, UnitCost
from penstock.ports.ledger import Worker
from penstock.ports.records import Claimed, FollowUp, Hold
from penstock.testing.contracts.ledger_case import PIPELINE, LedgerCase, Stage, listed, names, over, until

ROOM_FOR_ONE = Quota("one a day", 1, per="day")


async def narrow(stage: Stage, *units: str, parallel: int, lane: str | None = None) -> PlanId:
    """Runs of these units, of which only so many may be at work."""
    plan = await stage.plan(*(listed(name, lane=lane or name) for name in units))
    await stage.ledger.apply(plan.id, triggered_by="test", parallel=parallel)
    return plan.id


class WidthContract(LedgerCase):
    """A plan with `parallel` has no more runs at work at once."""

    async def test_no_more_are_claimed_than_the_plan_is_wide(self, stage: Stage) -> None:
        await narrow(stage, *"abcde", parallel=2)
        one, other = await stage.worker(), await stage.worker()
        assert [names(run) for run in await stage.claim(one)] == [["a"], ["b"]]
        assert await stage.claim(one) == await stage.claim(other) == []
        left = await other.outstanding([PIPELINE])
        assert (left.open, left.elsewhere, left.deferred) == (3, 2, 0)

    async def test_the_end_of_one_makes_room_for_the_next_whoever_asks(self, stage: Stage) -> None:
        await narrow(stage, *"abcd", parallel=1)
        worker, other = await stage.worker(), await stage.worker()
        (run,) = await stage.claim(worker)
        assert await stage.claim(other) == []
        seen: list[str] = []
        for asker in (other, worker, other):
            seen += names(run)
            await (worker if asker is other else other).end(over(run, keep=False))
            (run,) = await stage.claim(asker)
        assert [*seen, *names(run)] == list("abcd")

    async def test_a_run_that_follows_in_its_lane_takes_the_room_of_the_one_before(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1, lane="one")
        await narrow(stage, *"xy", parallel=1, lane="two")
        worker = await stage.worker()
        first, second = await stage.claim(worker)
        following = await worker.end(over(first, keep=True))
        assert following is not None
        assert names(following) == ["b"]
        assert await stage.claim(worker) == []
        assert await worker.end(over(following, keep=True)) is None
        assert await stage.claim(worker) == []  # x holds the other plan's room
        await worker.end(over(second, keep=False))
        assert [names(run) for run in await stage.claim(worker)] == [["y"]]

    async def test_a_wait_makes_room_and_who_waited_stands_in_line_again(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        worker = await stage.worker()
        (first,) = await stage.claim(worker)
        await stage.rest(worker, first, 0.0)
        (second,) = await stage.claim(worker, 1)
        waiting = first if names(second) == ["b"] else second
        assert await stage.claim(worker) == []
        await worker.end(over(second))
        again = await stage.due(worker)
        assert {*names(again), *names(second)} == {"a", "b"}
        assert waiting.plan == again.plan

    async def test_a_cancel_makes_room(self, stage: Stage) -> None:
        await narrow(stage, *"abc", parallel=1)
        worker = await stage.worker()
        (run,) = await stage.claim(worker)
        await stage.ledger.cancel(run=run.hold.run)
        assert await stage.claim(worker) == []  # it has not stopped yet
        await worker.end(over(run, "cancelled"))
        assert [names(run) for run in await stage.claim(worker)] == [["b"]]

    async def test_who_is_asked_to_stop_needs_no_room(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        worker = await stage.worker()
        (first,) = await stage.claim(worker)
        await stage.rest(worker, first, 0.2, keep_lane=False)
        assert names(await stage.due(worker)) == ["b"]

        async def refused() -> bool:
            await worker.housekeep([PIPELINE])
            assert await stage.claim(worker) == []
            stored = await stage.ledger.run(first.hold.run)
            return (stored.wait_reason, stored.not_before) == ("quota", None)

        await until(refused)
        await stage.ledger.cancel(run=first.hold.run)
        (stopped,) = await stage.claim(worker)
        assert (names(stopped), stopped.cancel) == (["a"], True)

    async def test_a_taken_over_run_keeps_its_room_and_gives_it_back_at_its_end(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        dead, heir = await stage.worker(), await stage.worker()
        await stage.claim(dead)
        await stage.kill(dead)
        taken = await stage.due(heir)
        assert names(taken) == ["a"]
        assert await stage.claim(heir) == []
        await heir.end(over(taken))
        assert [names(run) for run in await stage.claim(heir)] == [["b"]]

    async def test_a_follow_up_stands_in_line_as_well(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        worker = await stage.worker()
        (first,) = await stage.claim(worker)
        follow = FollowUp(units=(0,), until=Instant(worker.now()), tries=1)
        await worker.end(over(first, "failed", follow=follow))
        (second,) = await stage.claim(worker)
        await worker.housekeep([PIPELINE])
        assert await stage.claim(worker) == []
        await worker.end(over(second))
        assert names(await stage.due(worker)) == ["a"]

    async def test_other_work_of_a_lane_goes_first_and_is_not_held_up(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        worker = await stage.worker()
        (first,) = await stage.claim(worker)
        await stage.apply(listed("daily", lane="b"))
        assert [names(run) for run in await stage.claim(worker)] == [["daily"]]
        assert names(first) == ["a"]

    async def test_a_paused_plan_keeps_to_its_width_when_it_goes_on(self, stage: Stage) -> None:
        plan = await narrow(stage, *"abc", parallel=1)
        await stage.ledger.pause(plan=plan, paused=True)
        worker = await stage.worker()
        assert await stage.claim(worker) == []
        await stage.ledger.pause(plan=plan, paused=False)
        assert len(await stage.claim(worker)) == 1

    async def test_width_and_quota_hold_together(self, stage: Stage) -> None:
        plan = await stage.plan(
            *(listed(name, lane=name) for name in "ab"), costs=(UnitCost(ROOM_FOR_ONE, amount=Decimal(1)),)
        )
        await stage.ledger.apply(plan.id, triggered_by="test", parallel=5)
        assert (await stage.ledger.stored_plan(plan.id)).runs == 1
        assert len(await stage.claim(await stage.worker())) == 1

    async def test_many_workers_never_have_more(self, stage: Stage) -> None:
        await narrow(stage, *"abcdefghijklmnop", parallel=3)
        workers = [await stage.worker() for _ in range(4)]
        at_work: set[Hold] = set()
        most, done = 0, list[str]()

        async def carry(worker: Worker, run: Claimed) -> None:
            nonlocal most
            at_work.add(run.hold)
            most = max(most, len(at_work))
            await asyncio.sleep(0.002)
            at_work.discard(run.hold)
            done.extend(names(run))
            await worker.end(over(run, keep=False))

        async def work(worker: Worker) -> None:
            while len(done) < 16:
                for run in await stage.claim(worker, 2):
                    await carry(worker, run)
                await asyncio.sleep(0.001)

        async with asyncio.timeout(20):
            await asyncio.gather(*(work(worker) for worker in workers))
        assert sorted(done) == list("abcdefghijklmnop")
        assert most <= 3

    async def test_what_nobody_woke_is_woken_by_housekeeping(self, stage: Stage) -> None:
        await narrow(stage, *"ab", parallel=1)
        worker = await stage.worker()
        (run,) = await stage.claim(worker)
        await worker.end(over(run, keep=False))
        await worker.housekeep([PIPELINE])

        async def claimed() -> list[Claimed]:
            return await stage.claim(worker)

        assert names((await until(claimed))[0]) == ["b"]
