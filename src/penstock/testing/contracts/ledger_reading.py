# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What reading promises: runs, units, logs, events, ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from penstock.model.attempt import RunId
from penstock.model.errors import NotFound
from penstock.ports.records import LogRecord
from penstock.testing.contracts.ledger_case import (
    APP,
    PIPELINE,
    LedgerCase,
    Stage,
    key,
    listed,
    over,
    tried,
    until,
)


class ReadingContract(LedgerCase):
    """What people and programs read."""

    async def test_a_run_is_shown_with_its_steps(self, stage: Stage) -> None:
        worker, run = await stage.begin(listed("a", lane="x"), priority=2)
        scheduled = (await stage.ledger.run(run.hold.run)).steps
        assert [(s.step, s.state, s.attempts) for s in scheduled] == [("read", None, 0), ("write", None, 0)]
        await worker.attempt(tried(run, 1, "read", elapsed=1.5, output='{"rows": 3}'))
        await worker.opened_now(tried(run, 2, "write", "open"))
        shown = await stage.ledger.run(run.hold.run)
        assert [(s.step, s.state, s.attempts, s.output) for s in shown.steps] == [
            ("read", "completed", 1, {"rows": 3}),
            ("write", "running", 1, None),
        ]
        assert abs(shown.steps[0].seconds - 1.5) < 0.001
        await worker.attempt(tried(run, 2, "write", "failed", error_class="network", error="reset"))
        await worker.attempt(tried(run, 3, "write", "failed", attempt=2, error_class="data", error="no"))
        await worker.end(over(run, "failed", error_class="data", error="no", failed_step="write"))
        shown = await stage.ledger.run(run.hold.run)
        assert [(s.state, s.attempts, s.error_class) for s in shown.steps] == [
            ("completed", 1, None),
            ("failed", 2, "data"),
        ]
        assert (shown.app, shown.pipeline, shown.state, shown.lane, shown.priority) == (APP, PIPELINE, "failed", "x", 2)
        assert (shown.error_class, shown.error, shown.failed_step) == ("data", "no", "write")
        assert (shown.uuid, stage.ledger.plan_id(shown.plan), shown.units) == (run.uuid, run.plan, ({"name": "a"},))
        assert shown.started_at is not None
        assert shown.finished_at is not None
        assert shown.created_at <= shown.started_at <= shown.finished_at

    async def test_steps_that_never_began_are_skipped_when_the_run_is_over(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        await worker.attempt(tried(run, 1, "read", "skipped"))
        await worker.end(over(run))
        assert [s.state for s in (await stage.ledger.run(run.hold.run)).steps] == ["skipped", "skipped"]

    async def test_runs_are_listed_newest_first_and_by_what_was_asked(self, stage: Stage) -> None:
        first = await stage.apply("a", "b")
        second = await stage.apply("c")
        await stage.apply("a", pipeline="other")
        worker = await stage.worker()
        for run, end in zip(await stage.claim(worker, 2), ("completed", "failed"), strict=True):
            await worker.end(over(run, "completed" if end == "completed" else "failed"))
        runs = stage.ledger.runs
        ids = [run.id for run in await runs(app=APP)]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 4
        assert not await runs(app="nowhere")
        assert [run.id for run in await runs(app=APP, limit=2)] == ids[:2]
        assert [run.id for run in await runs(app=APP, before=ids[1])] == ids[2:]
        assert [run.id for run in await runs(app=APP, pipeline=PIPELINE)] == ids[1:]
        assert [run.id for run in await runs(app=APP, plan=second.plan)] == [ids[1]]
        assert {run.id for run in await runs(app=APP, plan=first.plan)} == set(ids[2:])
        assert [run.id for run in await runs(app=APP, ids=[ids[3], ids[0], RunId(10**9)])] == [ids[0], ids[3]]
        assert [run.units[0]["name"] for run in await runs(app=APP, key=key("c"))] == ["c"]
        assert [run.state for run in await runs(app=APP, states=["failed", "partial"])] == ["failed"]
        assert [run.state for run in await runs(app=APP, states=["scheduled"])] == ["scheduled", "scheduled"]
        assert [run.state for run in await runs(app=APP, states=["completed", "failed"], pipeline=PIPELINE)] == [
            "failed",
            "completed",
        ]
        hour = timedelta(hours=1)
        assert len(await runs(app=APP, since=datetime.now(UTC) - hour)) == 4
        assert not await runs(app=APP, since=datetime.now(UTC) + hour)

    async def test_a_run_that_is_not_there_is_not_found(self, stage: Stage) -> None:
        with pytest.raises(NotFound):
            await stage.ledger.run(RunId(10**9))

    async def test_public_ids_lead_back(self, stage: Stage) -> None:
        _, run = await stage.begin("a")
        plan = await stage.ledger.stored_plan(run.plan)
        assert stage.ledger.run_id(run.uuid) == run.hold.run
        assert stage.ledger.plan_id(plan.uuid) == run.plan
        assert run.uuid.version == 8

    async def test_ids_of_something_else_are_not_found(self, stage: Stage) -> None:
        _, run = await stage.begin("a")
        plan = await stage.ledger.stored_plan(run.plan)
        for foreign in (uuid4(), UUID(int=0), plan.uuid):
            with pytest.raises(NotFound):
                stage.ledger.run_id(foreign)
        for foreign in (uuid4(), UUID(int=0), run.uuid):
            with pytest.raises(NotFound):
                stage.ledger.plan_id(foreign)

    async def test_units_are_listed_by_verdict_a_page_at_a_time(self, stage: Stage) -> None:
        worker = await stage.worker()
        for name, state in (("a", "completed"), ("b", "failed"), ("c", "completed")):
            await stage.remember(worker, name, "completed" if state == "completed" else "failed")
        units = stage.ledger.units
        found = await units(app=APP, pipeline=PIPELINE)
        assert [row["unit"]["name"] for row in found] == ["a", "b", "c"]
        assert [row["key"] for row in found] == [{"name": name} for name in "abc"]
        assert [row["unit"]["name"] for row in await units(app=APP, pipeline=PIPELINE, verdicts=["failed"])] == ["b"]
        page = await units(app=APP, pipeline=PIPELINE, limit=2)
        rest = await units(app=APP, pipeline=PIPELINE, after=page[-1]["number"])
        assert [row["unit"]["name"] for row in [*page, *rest]] == ["a", "b", "c"]
        assert not await units(app=APP, pipeline="nowhere")

    async def test_a_unit_has_the_columns_of_its_view(self, stage: Stage) -> None:
        await stage.apply("a")
        assert set(await stage.unit("a")) == {
            "app", "pipeline", "number", "key", "unit", "verdict", "source_version", "failures", "repeats",
            "not_before", "completed_at", "completed_version", "rev", "changed_at", "last_run", "active_run",
        }  # fmt: skip
        assert await stage.ledger.unit(app=APP, pipeline=PIPELINE, key=key("nowhere")) is None
        assert await stage.ledger.unit(app=APP, pipeline="nowhere", key=key("a")) is None

    async def test_logs_are_read_in_order_a_page_at_a_time(self, stage: Stage) -> None:
        worker, run = await stage.begin("a")
        for n, message in enumerate(("one", "bad \x00 and \ud800", "three")):
            worker.log(
                LogRecord(
                    run=run.hold.run,
                    step="read",
                    attempt=1,
                    at=worker.now(),
                    level="info",
                    message=message,
                    fields={"n": n, "text": "\x00\ud800"} if n else {},
                )
            )

        async def all_there() -> bool:
            return len(await stage.ledger.logs(run.hold.run, 0, 9)) == 3

        await until(all_there)
        first = await stage.ledger.logs(run.hold.run, 0, 2)
        (last,) = await stage.ledger.logs(run.hold.run, first[-1]["number"], 9)
        assert (first[0]["message"], first[0]["fields"], last["message"]) == ("one", None, "three")
        assert (last["level"], last["step"], last["attempt"], last["fields"]["n"]) == ("info", "read", 1, 2)
        assert (last["run"], last["run_number"]) == (run.uuid, run.hold.run)

    async def test_events_are_read_in_order_from_any_place(self, stage: Stage) -> None:
        await stage.apply(*"abc")
        worker = await stage.worker()
        a, b, c = await stage.claim(worker)
        await worker.end(over(a, event="execution.completed"))
        await worker.end(over(b, "failed", event="execution.failed"))
        await worker.end(over(c))
        events = await stage.ledger.logged_events(APP)
        assert [(event.type, event.run_id, event.run) for event in events] == [
            ("execution.completed", a.hold.run, a.uuid),
            ("execution.failed", b.hold.run, b.uuid),
        ]
        assert all(abs(event.at.timestamp() - worker.now()) < 5 for event in events)
        assert events[0].position < events[1].position
        assert await stage.ledger.logged_events(APP, limit=1) == events[:1]
        assert await stage.ledger.logged_events(APP, after=events[0].position) == events[1:]
        assert await stage.ledger.logged_events(APP, types=["execution.failed"]) == events[1:]
        assert await stage.ledger.logged_events(APP, run=a.hold.run) == events[:1]
        assert not await stage.ledger.logged_events("nowhere")

    async def test_health_tells_who_is_at_work_on_what(self, stage: Stage) -> None:
        await stage.apply("a", "b")
        worker = await stage.worker()
        await stage.claim(worker, 1)
        health = await stage.ledger.health(APP)
        assert health["processes"] == 1
        assert health["live"] == {"running": 1, "scheduled": 1}
        assert health["outbox"] == 0
        assert abs(health["last_plan"].timestamp() - worker.now()) < 5
        assert health["server"]

    async def test_past_runs_tell_how_long_one_takes(self, stage: Stage) -> None:
        assert (await stage.plan("a")).seconds_a_run is None
        worker = await stage.worker()
        await stage.remember(worker, "a", "completed")
        mean = (await stage.plan("b")).seconds_a_run
        assert mean is not None
        assert 0 <= mean < 10
