# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What is remembered of a unit, and until when it is no gap again."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.model.attempt import Instant, RunEnd
from penstock.model.shape import Shape
from penstock.ports.ledger import Worker
from penstock.testing.contracts.ledger_case import STEPS, LedgerCase, Stage, listed, over

DAY = 86_400.0


class VerdictContract(LedgerCase):
    """The memory rules after each kind of end."""

    async def test_a_unit_that_completed_is_no_gap(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed", version="1")
        row = await stage.unit("a")
        assert (row["verdict"], row["failures"], row["repeats"], row["not_before"]) == ("completed", 0, 1, None)
        assert (row["source_version"], row["completed_version"]) == ("1", "1")
        assert row["completed_at"] is not None
        assert row["active_run"] is None
        assert (await stage.plan(listed("a", version="1"))).counts == {}

    async def test_failures_in_a_row_double_the_wait_up_to_its_limit(self, stage: Stage) -> None:
        worker = await stage.worker()
        for failures, wait in ((1, 100), (2, 200), (3, 300), (4, 300)):
            await stage.remember(worker, "a", "failed", counts=True, first=100.0, limit=300.0)
            row = await stage.unit("a")
            assert (row["verdict"], row["failures"]) == ("failed", failures)
            assert abs(self._ahead(worker, row) - wait) < 5

    async def test_a_failure_that_does_not_count_leaves_the_row_as_it_is(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", counts=True, first=100.0, limit=1000.0)
        await stage.remember(worker, "a", "failed", counts=False, first=100.0, limit=1000.0)
        row = await stage.unit("a")
        assert row["failures"] == 1
        assert abs(self._ahead(worker, row) - 100) < 5

    async def test_success_ends_the_row(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", counts=True, first=100.0, limit=1000.0)
        await stage.remember(worker, "a", "completed")
        row = await stage.unit("a")
        assert (row["verdict"], row["failures"], row["not_before"]) == ("completed", 0, None)

    @pytest.mark.parametrize(
        ("state", "verdict"),
        [("failed", "failed"), ("failed", "rejected"), ("failed", "no_data"), ("partial", "partial")],
    )
    async def test_what_holds_is_no_gap_but_told_with_its_date(self, stage: Stage, state: RunEnd, verdict: str) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", state, verdict=verdict, counts=True, first=DAY, limit=DAY)
        await stage.remember(worker, "b", state, verdict=verdict, counts=True, first=7 * DAY, limit=7 * DAY)
        plan = await stage.plan("a", "b", "c")
        assert plan.counts == {"missing": 1}
        ((told, units, first),) = plan.remembered
        assert (told, units) == (verdict, 2)
        assert first is not None
        assert abs(first.timestamp() - worker.now() - DAY) < 5
        forced = await stage.plan("a", "b", forced=True)
        assert sum(forced.counts.values()) == 2
        assert not forced.remembered

    async def test_a_failure_that_is_not_remembered_is_a_gap_at_once(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", counts=True, first=0.0, limit=0.0)
        row = await stage.unit("a")
        assert (row["failures"], row["not_before"]) == (1, None)
        assert (await stage.plan("a")).counts == {"failed": 1}

    async def test_a_time_that_was_given_is_taken_as_it_is(self, stage: Stage) -> None:
        worker = await stage.worker()
        until = Instant(float(int(worker.now()) + 5000))
        await stage.remember(worker, "a", "failed", verdict="no_data", counts=True, first=10.0, limit=20.0, until=until)
        assert (await stage.unit("a"))["not_before"].timestamp() == until
        assert [verdict for verdict, *_ in (await stage.plan("a")).remembered] == ["no_data"]

    async def test_what_held_is_a_gap_again(self, stage: Stage) -> None:
        worker = await stage.worker()
        past = Instant(worker.now() - 1)
        await stage.remember(worker, "a", "failed", counts=True, until=past)
        await stage.remember(worker, "b", "failed", verdict="no_data", counts=True, until=past)
        assert (await stage.plan("a", "b")).counts == {"failed": 1, "missing": 1}

    async def test_a_new_version_breaks_negative_knowledge(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", version="1", verdict="no_data", first=DAY, limit=DAY)
        assert (await stage.plan(listed("a", version="1"))).counts == {}
        assert (await stage.plan(listed("a", version="2"))).counts == {"missing": 1}

    async def test_another_version_is_stale_and_never_older_or_newer(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed", version="2")
        assert (await stage.plan(listed("a", version="2"))).counts == {}
        assert (await stage.plan(listed("a", version="1"))).counts == {"stale": 1}
        assert (await stage.plan(listed("a", version="3"))).counts == {"stale": 1}
        assert (await stage.plan("a")).counts == {}

    async def test_the_version_that_counts_is_the_one_that_was_planned(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.apply(listed("a", version="1"))
        run = await stage.one(worker)
        assert run.units[0].source_version == "1"
        assert (await stage.plan(listed("a", version="2"))).in_flight == 1
        await worker.end(over(run))
        assert (await stage.plan(listed("a", version="2"))).counts == {"stale": 1}

    async def test_a_pipeline_of_a_new_version_makes_all_its_units_stale(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed")
        await stage.remember(worker, "b", "completed", version="1")
        newer = Shape(steps=STEPS.steps, version=2)
        wanted = [listed("a"), listed("b", version="1")]
        plan = await stage.plan(*wanted, shape=newer)
        assert plan.counts == {"stale": 2}
        await stage.ledger.apply(plan.id, triggered_by="test")
        for run in await stage.claim(worker):
            await worker.end(over(run))
        assert (await stage.plan(*wanted, shape=newer)).counts == {}
        assert (await stage.plan(*wanted, shape=Shape(steps=STEPS.steps, version=3))).counts == {"stale": 2}

    async def test_a_stale_unit_that_failed_holds_too(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed", version="1")
        await stage.remember(worker, "a", "failed", version="2", counts=True, first=DAY, limit=DAY)
        plan = await stage.plan(listed("a", version="2"))
        assert (plan.counts, [verdict for verdict, *_ in plan.remembered]) == ({}, ["failed"])
        assert (await stage.plan(listed("a", version="3"))).counts == {"stale": 1}

    async def test_a_cancelled_run_leaves_its_units_as_they_were(self, stage: Stage) -> None:
        worker = await stage.worker()
        await stage.remember(worker, "a", "failed", version="1", counts=True, first=DAY, limit=DAY)
        before = await stage.unit("a")
        await stage.remember(worker, "a", "cancelled", version="2")
        after = await stage.unit("a")
        assert after["rev"] > before["rev"]
        same = ("verdict", "source_version", "failures", "repeats", "not_before", "completed_at")
        assert [after[name] for name in same] == [before[name] for name in same]

    async def test_completions_of_one_version_are_counted_and_waited_for(self, stage: Stage) -> None:
        worker = await stage.worker()
        for repeats, wait in ((1, None), (2, 3_600), (3, 6 * 3_600), (4, DAY), (5, DAY)):
            await stage.remember(worker, "a", "completed", version="1")
            row = await stage.unit("a")
            assert row["repeats"] == repeats
            assert wait is None or abs(self._ahead(worker, row) - wait) < 5
            assert (row["not_before"] is None) == (wait is None)
        await stage.remember(worker, "a", "completed", version="2")
        row = await stage.unit("a")
        assert (row["repeats"], row["not_before"]) == (1, None)

    async def test_every_end_is_remembered_with_its_run(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        row = await stage.unit("a")
        assert (stage.ledger.run_id(row["active_run"]), row["last_run"]) == (run.hold.run, None)
        await worker.end(over(run))
        row = await stage.unit("a")
        assert (row["active_run"], stage.ledger.run_id(row["last_run"])) == (None, run.hold.run)

    @staticmethod
    def _ahead(worker: Worker, row: dict[str, Any]) -> float:
        assert row["not_before"] is not None
        return float(row["not_before"].timestamp()) - worker.now()
