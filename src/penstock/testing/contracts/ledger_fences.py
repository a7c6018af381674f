# ruff: noqa: S101 - a contract is made of assertions and expected numbers
"""What fences and leases promise: who lost a run writes nothing of it any more; what was recorded stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from penstock.model.errors import LeaseLost
from penstock.ports.ledger import Worker
from penstock.ports.records import Claimed, WaitRecord
from penstock.testing.contracts.ledger_case import PIPELINE, LedgerCase, Stage, called, late, names, over, tried


class FenceContract(LedgerCase):
    """Late writes, dead processes, take-over."""

    async def test_a_late_write_is_turned_away_alone(self, stage: Stage) -> None:
        worker, (gone, others) = await self._one_late(stage)
        a, b, c, d = others
        turned_away = await late(
            [
                worker.attempt(tried(gone)),
                worker.attempt(tried(a)),
                worker.call(called(gone, 0)),
                worker.call(called(b, 0)),
                worker.wait(WaitRecord(hold=gone.hold, until=worker.now(), reason="backoff", keep_lane=True)),
                worker.wait(WaitRecord(hold=c.hold, until=worker.now(), reason="backoff", keep_lane=True)),
                worker.end(over(gone, event="execution.completed")),
                worker.end(over(d, event="execution.completed")),
                worker.opened_now(tried(gone, 2, "write", "open")),
            ]
        )
        assert turned_away == [True, False, True, False, True, False, True, False, True]
        history = await worker.history(gone.hold.run)
        assert (history.attempts, history.calls) == ((), ())
        assert (await stage.ledger.run(gone.hold.run)).state == "running"
        assert [event.run_id for event in await stage.ledger.logged_events("contract")] == [d.hold.run]
        states = {run.id: run.state for run in await stage.ledger.runs(app="contract")}
        assert [states[run.hold.run] for run in (a, b, c, d)] == ["running", "running", "waiting", "completed"]

    async def test_a_late_transaction_is_turned_away(self, stage: Stage) -> None:
        worker, (gone, _) = await self._one_late(stage)
        with pytest.raises(LeaseLost):
            await worker.transaction(gone.hold).commit(tried(gone), [called(gone, 0)])
        with pytest.raises(LeaseLost):
            await worker.transaction(gone.hold).commit(None, [called(gone, 0)])
        history = await worker.history(gone.hold.run)
        assert (history.attempts, history.calls) == ((), ())

    async def test_a_late_once_is_turned_away(self, stage: Stage) -> None:
        worker, (gone, _) = await self._one_late(stage)
        unit = gone.units[0].id
        with pytest.raises(LeaseLost):
            await worker.keep_once(gone.hold, (unit, ""), "read", "page", "1")
        assert await worker.once(unit, "", "read") == {}

    async def test_a_late_opening_is_left_out(self, stage: Stage) -> None:
        worker, (gone, others) = await self._one_late(stage)
        worker.opened(tried(gone, 1, "read", "open"))
        await worker.attempt(tried(others[0]))
        assert (await worker.history(gone.hold.run)).attempts == ()

    async def test_after_its_end_nothing_of_a_run_is_taken(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.end(over(run))
        assert await late([worker.attempt(tried(run)), worker.end(over(run, "failed"))]) == [True, True]
        assert (await stage.ledger.run(run.hold.run)).state == "completed"

    async def test_runs_of_a_dead_process_are_taken_over_from_where_they_were(self, stage: Stage) -> None:
        dying, run = await stage.begin("a")
        await dying.attempt(tried(run, 1, "read"))
        await dying.opened_now(tried(run, 2, "write", "open"))
        worker = await stage.worker("heir")
        await worker.housekeep([PIPELINE])
        assert not await stage.claim(worker)
        await stage.kill(dying)
        await worker.housekeep([PIPELINE])
        heir = await stage.one(worker)
        assert (heir.hold.run, heir.claims, heir.losses, heir.started) == (run.hold.run, 2, 1, run.started)
        assert heir.hold.fence > run.hold.fence
        history = await worker.history(run.hold.run)
        assert [(a.step, a.state) for a in history.attempts] == [("read", "done"), ("write", "lost")]
        assert [step for step, _, _ in history.tries] == ["read"]

    async def test_a_run_that_was_lost_goes_before_all_others(self, stage: Stage) -> None:
        dying, run = await stage.begin("a")
        await stage.apply("b", "c", priority=5)
        await stage.kill(dying)
        worker = await stage.worker("heir")
        await worker.housekeep([PIPELINE])
        assert names((await stage.claim(worker, 1))[0]) == names(run)

    async def test_a_killed_process_writes_nothing_any_more(self, stage: Stage) -> None:
        zombie, run = await stage.begin("a")
        await stage.kill(zombie)
        worker = await stage.worker("heir")
        await worker.housekeep([PIPELINE])
        writes = [
            zombie.attempt(tried(run)),
            zombie.call(called(run, 0)),
            zombie.end(over(run)),
            zombie.transaction(run.hold).commit(tried(run), []),
            zombie.keep_once(run.hold, (run.units[0].id, ""), "read", "page", "1"),
            zombie.claim(1, [PIPELINE]),
        ]
        for write in writes:
            with pytest.raises(LeaseLost):
                await write
        assert (await worker.history(run.hold.run)).attempts == ()
        assert names(await stage.one(worker)) == ["a"]

    async def test_while_nobody_has_it_a_lost_run_is_shown_as_crashed(self, stage: Stage) -> None:
        dying, run = await stage.begin("a")
        await stage.kill(dying)
        worker = await stage.worker("heir")
        await worker.housekeep([PIPELINE])
        assert (await stage.ledger.run(run.hold.run)).state == "crashed"
        assert [r.id for r in await stage.ledger.runs(app="contract", states=["crashed"])] == [run.hold.run]
        await stage.one(worker)
        assert (await stage.ledger.run(run.hold.run)).state == "running"

    async def test_losses_in_a_row_are_counted_and_an_outcome_ends_the_row(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        for losses in (1, 2):
            await stage.kill(worker)
            worker = await stage.worker("heir")
            await worker.housekeep([PIPELINE])
            run = await stage.one(worker)
            assert run.losses == losses
        await worker.attempt(tried(run, 1, fresh=True))
        await stage.kill(worker)
        worker = await stage.worker("heir")
        await worker.housekeep([PIPELINE])
        assert (await stage.one(worker)).losses == 1

    async def test_a_lost_lane_is_taken_over_once(self, stage: Stage) -> None:
        dying = await stage.worker()
        await stage.apply(*(f"u{n}" for n in range(6)))
        await stage.claim(dying)
        heirs = [await stage.worker(f"heir{n}") for n in range(3)]
        await stage.kill(dying)
        await asyncio.gather(*(heir.housekeep([PIPELINE]) for heir in heirs))
        claimed = await asyncio.gather(*(stage.claim(heir) for heir in heirs))
        assert [run.losses for runs in claimed for run in runs] == [1] * 6

    async def test_a_write_that_races_with_take_over_is_kept_or_turned_away(self, stage: Stage) -> None:
        for round_ in range(3):
            await stage.apply(*(f"{round_}.{n}" for n in range(8)))
            dying, heir = await stage.worker(), await stage.worker("heir")
            runs = await stage.claim(dying, 8)
            await stage.kill(dying)
            writes: list[Awaitable[Any]] = []
            for n, run in enumerate(runs):
                writes.append(
                    dying.attempt(tried(run)) if n % 2 else dying.transaction(run.hold).commit(tried(run), [])
                )
                if n == round_:
                    writes.append(heir.housekeep([PIPELINE]))
            turned_away = await late(writes)
            del turned_away[round_ + 1]
            claimed = [await stage.due(heir) for _ in range(8)]  # a take-over steps aside for a write under way
            again = await late([dying.attempt(tried(run, 2, "write")) for run in runs])
            kept = [bool((await heir.history(run.hold.run)).attempts) for run in runs]
            assert again == [True] * 8
            assert kept == [not late_ for late_ in turned_away]
            for run in claimed:
                await heir.end(over(run))

    async def test_a_run_that_waits_is_not_lost_with_its_process(self, stage: Stage) -> None:
        dying, run = await stage.begin("a")
        await stage.rest(dying, run, 0.05)
        await stage.kill(dying)
        worker = await stage.worker("heir")
        again = await stage.due(worker)
        assert (again.losses, again.claims) == (0, 2)

    async def test_closing_gives_back_what_is_held(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.close()
        with pytest.raises(LeaseLost):
            await worker.attempt(tried(run))
        again = await stage.one(await stage.worker("heir"))
        assert (again.hold.run, again.claims) == (run.hold.run, 2)
        assert (await stage.ledger.health("contract"))["processes"] == 1

    async def _one_late(self, stage: Stage) -> tuple[Worker, tuple[Claimed, list[Claimed]]]:
        """A worker with four runs and one hold that does not fit any more, since another worker has that run now."""
        await stage.apply("late")
        worker, other = await stage.worker(), await stage.worker("other")
        gone = await stage.one(worker)
        await stage.rest(worker, gone, 0.0)
        await stage.due(other)
        await stage.apply(*"abcd")
        runs = sorted(await stage.claim(worker), key=lambda run: run.hold.run)
        return worker, (gone, runs)
