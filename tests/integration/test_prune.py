"""Retention: what ended long ago goes, and nothing else, whoever is at work."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from penstock.ledger import prune as pruning
from penstock.ledger.prune import Pruned
from penstock.model.attempt import RunId
from penstock.model.errors import Conflict, LedgerUnavailable, NotFound
from penstock.model.quota import Quota
from penstock.operations.explaining import explain
from penstock.ports.ledger import Worker
from penstock.ports.records import LogRecord, Refused
from penstock.testing.contracts.ledger_case import APP, PIPELINE, Stage, called, key, over, query, tried, until

DAYS = timedelta(days=90)
ALL = timedelta(0)
OF_RUNS = ("runs", "run_units", "attempts", "calls", "logs")
LONG_AGO = """
update penstock.runs set created_at = created_at - interval '100 days', finished_at = finished_at - interval '100 days';
update penstock.plans set created_at = created_at - interval '100 days', applied_at = applied_at - interval '100 days';
update penstock.processes set ended_at = ended_at - interval '100 days';
update penstock.onces set made_at = made_at - interval '100 days';
update penstock.units set changed_at = changed_at - interval '100 days';
"""


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def change(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


def counts(url: str) -> dict[str, int]:
    return {table: rows(url, f"select count(*) from penstock.{table}")[0][0] for table in OF_RUNS}


async def said(stage: Stage, worker: Worker, *units: str, state: Any = "completed", **more: Any) -> RunId:
    """A run with something in every table."""
    await stage.apply(*units, one_run=True, **more)
    run = await stage.one(worker)
    await worker.attempt(tried(run))
    await worker.call(called(run, 0, "write"))
    worker.log(
        LogRecord(run=run.hold.run, step="read", attempt=1, at=worker.now(), level="info", message="said", fields={})
    )
    await worker.end(over(run, state))
    await until(lambda: stage.ledger.logs(run.hold.run, 0, 1))
    return run.hold.run


async def test_what_ended_long_ago_goes_with_all_that_is_recorded_of_it(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    await said(stage, worker, "old")
    change(url, LONG_AGO)
    recent = await said(stage, worker, "new")
    done = pruning.prune(url, DAYS)
    assert (done.runs, done.rows, done.plans) == (1, 5, 1)
    assert counts(url) == dict.fromkeys(OF_RUNS, 1)
    assert [run.id for run in await stage.ledger.runs(app=APP)] == [recent]
    assert datetime.now(UTC) - done.before - DAYS < timedelta(minutes=1)


async def test_a_dry_run_counts_the_same_and_deletes_nothing(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    for name in "abc":
        await said(stage, worker, name, state="failed" if name == "c" else "completed")
    change(url, LONG_AGO)
    await stage.plan("late")
    before = counts(url)
    for keep_failed in (False, True):
        told = pruning.prune(url, DAYS, keep_failed=keep_failed, dry_run=True)
        assert (told.runs, told.plans, told.kept_failed) == ((2, 2, 1) if keep_failed else (3, 3, 0))
        assert counts(url) == before
    done = pruning.prune(url, DAYS)
    assert (done.runs, done.plans) == (3, 3)


async def test_the_memory_of_units_stays_and_says_nothing_of_runs_that_are_gone(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    await said(stage, worker, "a", state="failed")
    memory = await stage.unit("a")
    assert memory["last_run"] is not None
    pruning.prune(url, ALL)
    assert await stage.unit("a") == {**memory, "last_run": None}
    why = explain(PIPELINE, {"name": "a"}, await stage.unit("a"), {"wanted": {"version": None}}, datetime.now(UTC))
    assert why.sentence.startswith("letters name=a ended failed and is a gap again")
    gone = explain(PIPELINE, {"name": "a"}, await stage.unit("a"), {}, datetime.now(UTC))
    assert gone.sentence.endswith("It was, and ran.")


async def test_a_completed_unit_whose_run_is_gone_is_no_gap(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    await said(stage, worker, "a")
    pruning.prune(url, ALL)
    assert (await stage.plan("a")).counts == {}
    assert (await stage.plan("a", forced=True)).counts == {"forced": 1}


async def test_nothing_live_goes_nor_what_ended_of_a_plan_at_work(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    await stage.apply("a", "b", "c")
    running, ended = await stage.claim(worker, 2)
    await worker.end(over(ended))
    change(url, LONG_AGO)
    done = pruning.prune(url, DAYS)
    assert (done.runs, done.plans, done.kept_at_work) == (0, 0, 1)
    assert counts(url)["runs"] == 3
    await worker.end(over(running))
    await worker.end(over(await stage.one(worker)))
    change(url, LONG_AGO)
    assert pruning.prune(url, DAYS).runs == 3


async def test_failed_and_partial_runs_may_be_kept(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    states = ("completed", "failed", "partial", "cancelled")
    ids = [await said(stage, worker, f"{place}", state=state) for place, state in enumerate(states)]
    done = pruning.prune(url, ALL, keep_failed=True)
    assert (done.runs, done.kept_failed) == (2, 2)
    assert {run.id for run in await stage.ledger.runs(app=APP)} == {ids[1], ids[2]}


async def test_a_run_whose_event_was_not_handed_over_stays_until_it_was(stage: Stage, url: str) -> None:
    worker, run = await stage.begin("a")
    await worker.end(over(run, "failed", event="execution.failed"))
    done = pruning.prune(url, ALL)
    assert (done.runs, done.kept_undelivered) == (0, 1)
    (event,) = await stage.ledger.logged_events(APP)  # it is in the log now, and a sink is yet to have it
    change(url, "insert into penstock.event_readers (app, name, position) values ('contract', 'bus', 0)")
    assert pruning.prune(url, ALL, dry_run=True).kept_undelivered == 1
    change(url, f"update penstock.event_readers set position = {event.position}")
    assert pruning.prune(url, ALL).runs == 1


async def test_a_sink_that_nobody_has_looked_for_holds_nothing(stage: Stage, url: str) -> None:
    worker, run = await stage.begin("a")
    await worker.end(over(run, "failed", event="execution.failed"))
    assert len(await stage.ledger.logged_events(APP)) == 1
    change(url, "insert into penstock.event_readers (app, name, position) values ('contract', 'bus', 0)")
    change(url, "update penstock.events set at = now() - interval '40 days'")
    done = pruning.prune(url, ALL)
    assert (done.runs, done.events) == (0, 0)
    change(url, "update penstock.event_readers set seen_at = now() - interval '31 days'")
    done = pruning.prune(url, ALL)
    assert (done.runs, done.events) == (1, 1)


async def test_events_that_all_have_go_when_they_are_old(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    for name in "abc":
        await stage.apply(name)
        await worker.end(over(await stage.one(worker), event="execution.completed"))
    _, second, third = await stage.ledger.logged_events(APP)
    change(url, "update penstock.events set at = now() - interval '40 days'")
    change(url, f"insert into penstock.event_readers (app, name, position) values ('contract', 'b', {second.position})")
    assert pruning.prune(url, ALL, dry_run=True).events == 2
    assert pruning.prune(url, ALL, events_older_than=timedelta(days=50)).events == 0
    assert pruning.prune(url, ALL).events == 2
    assert [event.id for event in await stage.ledger.logged_events(APP)] == [third.id]


async def test_a_run_that_somebody_is_yet_to_be_told_of_stays(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    run = await said(stage, worker, "a", state="failed")
    change(url, f"insert into penstock.notices values ('contract', 'mail', gen_random_uuid(), now(), {run})")
    assert pruning.prune(url, ALL, dry_run=True).kept_undelivered == 1
    assert pruning.prune(url, ALL).runs == 0
    change(url, "delete from penstock.notices")
    assert pruning.prune(url, ALL).runs == 1


async def test_one_pipeline_alone(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    for pipeline in ("letters", "parcels"):
        await stage.apply("a", pipeline=pipeline)
        await worker.end(over(await stage.one(worker, [pipeline])))
    done = pruning.prune(url, ALL, pipeline="parcels")
    assert (done.runs, done.processes) == (1, 0)
    assert [run.pipeline for run in await stage.ledger.runs(app=APP)] == ["letters"]
    with pytest.raises(NotFound, match="no pipeline letter "):
        pruning.prune(url, ALL, pipeline="letter")
    await stage.ledger.plan(query("a", app="other"))
    with pytest.raises(Conflict, match="contract/letters, other/letters"):
        pruning.prune(url, ALL, pipeline="letters")
    assert pruning.prune(url, ALL, pipeline="contract/letters").runs == 1


async def test_plans_go_with_their_last_run_but_the_newest_of_a_pipeline_stays(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    await said(stage, worker, "a")
    discarded = await stage.plan("b")
    await stage.ledger.discard(discarded.id)
    left_open = await stage.plan("c", "d")
    newest = await stage.plan("e")
    done = pruning.prune(url, ALL)
    assert (done.plans, done.gaps) == (2, 0)  # an open plan of today is somebody's
    change(url, LONG_AGO)
    told = pruning.prune(url, DAYS, dry_run=True)
    done = pruning.prune(url, DAYS)
    assert (told.gaps, told.plans) == (done.gaps, done.plans) == (3, 1)
    assert rows(url, "select plan_id, state from penstock.plans") == [(newest.id, "discarded")]
    assert left_open.id != newest.id


async def test_results_of_once_stay_while_somebody_tries(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    for name in ("tried", "forgotten", "in flight"):
        await stage.apply(name)
        run = await stage.one(worker)
        await worker.keep_once(run.hold, (run.units[0].id, ""), "read", "k", "1")
        await worker.end(over(run, "failed"))
    change(url, LONG_AGO)
    await stage.remember(worker, "tried", "failed")
    await stage.apply("in flight", forced=True)
    assert pruning.prune(url, DAYS, dry_run=True).onces == 1
    assert pruning.prune(url, DAYS).onces == 1
    kept = rows(url, "select u.key from penstock.onces o join penstock.units u using (unit_id) order by 1")
    assert kept == [(key("in flight"),), (key("tried"),)]


async def test_processes_that_ended_go(stage: Stage, url: str) -> None:
    for _ in range(2):
        worker = await stage.ledger.open_worker(APP, "short")
        await worker.close()
    await stage.worker()
    assert pruning.prune(url, ALL, dry_run=True).processes == 2
    assert pruning.prune(url, ALL).processes == 2
    assert rows(url, "select count(*) from penstock.processes") == [(1,)]


async def test_it_may_be_interrupted_and_goes_on(stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "WINDOW", 2)
    worker = await stage.worker()
    for name in "abcdefg":
        await stage.remember(worker, name, "completed")
    windows: list[Pruned] = []

    def stop(done: Pruned) -> None:
        windows.append(done)
        if done.runs == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruning.prune(url, ALL, on_window=stop)
    assert [done.runs for done in windows] == [2, 4]
    assert counts(url)["runs"] == 3
    assert pruning.prune(url, ALL).runs == 3
    assert pruning.prune(url, ALL).runs == 0


async def test_two_at_once_and_workers_beside_them(stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "WINDOW", 10)
    worker = await stage.worker()
    for chunk in range(10):
        await stage.apply(*(f"{chunk}-{n}" for n in range(20)))
        for run in await stage.claim(worker, 20):
            await worker.end(over(run))
    await stage.apply(*(f"new-{n}" for n in range(50)))

    async def work() -> int:
        ended = 0
        while claimed := await stage.claim(worker, 5):
            for run in claimed:
                await worker.attempt(tried(run))
                await worker.end(over(run))
            ended += len(claimed)
        return ended

    first, second, ended = await asyncio.gather(
        asyncio.to_thread(pruning.prune, url, ALL), asyncio.to_thread(pruning.prune, url, ALL), work()
    )
    assert (first.runs + second.runs, ended) == (200, 50)
    assert counts(url) == {"runs": 50, "run_units": 50, "attempts": 50, "calls": 0, "logs": 0}
    units = await stage.ledger.units(app=APP, pipeline=PIPELINE, verdicts=["completed"], limit=999)
    assert len(units) == 250


async def test_a_retry_of_a_run_that_is_gone_says_so(stage: Stage, url: str) -> None:
    worker = await stage.worker()
    gone = await said(stage, worker, "a", state="failed")
    pruning.prune(url, ALL)
    with pytest.raises(NotFound, match=f"no run {gone}"):
        await stage.ledger.run(gone)
    plan = await stage.plan("a", forced=True, one_run=True)
    applied = await stage.ledger.apply(plan.id, triggered_by="retry", copy_from=gone)
    run = await stage.one(worker)
    assert (applied.runs, run.copied) == (1, False)
    await worker.end(over(run))


def test_a_database_that_does_not_answer() -> None:
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        pruning.prune("postgresql://me@127.0.0.1:1/nowhere", DAYS)


async def test_what_was_drawn_goes_with_its_run_and_no_present_budget_changes(stage: Stage, url: str) -> None:
    day, each = Quota("usd", 10, per="day"), Quota("usd_a_run", 5, per="run")
    worker, run = await stage.begin("a")
    granted = await worker.spend(run.hold, "write", [(day, Decimal(3)), (each, Decimal(3))])
    assert not isinstance(granted, Refused)
    await worker.settle([(draw, Decimal(2)) for draw in granted])
    await worker.end(over(run))
    before = await stage.ledger.quotas(APP)
    assert pruning.prune(url, ALL, dry_run=True).windows == 0
    assert pruning.prune(url, ALL).rows == 5  # the run, its unit, two draws, a window of its own
    assert await stage.ledger.quotas(APP) == before
    assert rows(url, "select count(*) from penstock.quota_draws") == [(0,)]
    change(url, "update penstock.quota_windows set starts_at = starts_at - '100 days'::interval, "
                "ends_at = ends_at - '100 days'::interval")  # fmt: skip
    assert pruning.prune(url, DAYS, dry_run=True).windows == 1
    assert pruning.prune(url, DAYS).windows == 1
    assert rows(url, "select count(*) from penstock.quota_windows") == [(0,)]
