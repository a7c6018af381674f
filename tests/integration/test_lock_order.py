"""Who works on the ledger takes lanes before runs; whoever is caught in a deadlock all the same tries again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest_asyncio

from penstock.testing.contracts.ledger_case import APP, Stage, over, until
from penstock.testing.contracts.ledger_quotas import TWO

WAITING = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest_asyncio.fixture
async def other(database_url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Somebody else, in a transaction."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        yield connection
        await connection.rollback()


async def somebody_waits(stage: Stage) -> None:
    async def seen() -> list[Any]:
        async with stage.ledger.connection() as connection:
            return list(await (await connection.execute(WAITING)).fetchall())

    await until(seen)


async def test_a_cancel_waits_for_a_lane_before_it_holds_a_run(
    stage: Stage, other: psycopg.AsyncConnection[Any]
) -> None:
    worker, run = await stage.begin("a")
    await stage.rest(worker, run, 3_600)
    await other.execute("select from penstock.lanes where lane_id = %s for update", [run.hold.lane])  # a claim begins
    cancel = asyncio.create_task(stage.ledger.cancel(run=run.hold.run))
    await somebody_waits(stage)
    await other.execute("select from penstock.runs where run_id = %s for update nowait", [run.hold.run])  # and goes on
    await other.rollback()
    assert await cancel == {run.hold.run: "waiting"}
    assert (await stage.one(worker)).cancel


async def test_a_write_that_is_caught_in_a_deadlock_is_made_again(
    stage: Stage, other: psycopg.AsyncConnection[Any]
) -> None:
    worker, run = await stage.begin("a")
    await other.execute("set deadlock_timeout = '1min'")  # it is the writer who finds it, and is thrown out
    await other.execute("select from penstock.runs where run_id = %s for update", [run.hold.run])
    ending = asyncio.create_task(worker.end(over(run)))
    await somebody_waits(stage)
    await other.execute("select from penstock.lanes where lane_id = %s for update", [run.hold.lane])
    await other.rollback()
    assert await ending is None
    assert (await stage.ledger.run(run.hold.run)).state == "completed"


async def test_a_cancel_takes_back_what_the_run_was_expected_to_cost(stage: Stage) -> None:
    await stage.apply("a", costs=TWO)
    assert await _costs(stage) == 1
    ((run, _),) = (await stage.ledger.cancel(run=(await stage.ledger.runs(app=APP))[0].id)).items()
    assert (await stage.ledger.run(run)).state == "cancelled"
    assert await _costs(stage) == 0


async def _costs(stage: Stage) -> int:
    async with stage.ledger.connection() as connection:
        ((count,),) = await (await connection.execute("select count(*) from penstock.run_costs")).fetchall()
    return int(count)
