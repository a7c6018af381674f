"""16 that claim from one lane at the same time: it is never shared, its order holds, and its fence only rises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import psycopg
import pytest
import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.worker import PostgresWorker
from penstock.ports.records import Claimed
from penstock.testing.contracts.ledger_case import APP, PIPELINE, listed, names, over, query, tried
from tests.faults.world import MORE, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CLAIMERS: Final = 16
UNITS: Final = 120


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    opened = PostgresLedger(database_url, size=20)
    await opened.open()
    yield opened
    await opened.close()


class Lane:
    """What a lane guards, such as a bank account: nobody may be in it beside another."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.taken: list[Claimed] = []

    async def open(self) -> None:
        self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        await self._connection.execute("create table public.inside (lane bigint primary key, run bigint)")

    async def work(self, worker: PostgresWorker) -> None:
        """Claim, be inside, leave and end, until all is done."""
        while len(self.taken) < UNITS:
            for claimed in await worker.claim(1, [PIPELINE]):
                self.taken.append(claimed)
                hold = claimed.hold
                await self._connection.execute("insert into public.inside values (%s, %s)", (hold.lane, hold.run))
                await worker.attempt(tried(claimed))
                await self._connection.execute("delete from public.inside where run = %s", (hold.run,))
                assert await worker.end(over(claimed)) is None

    async def close(self) -> None:
        await self._connection.close()


async def test_one_lane_is_never_shared(ledger: PostgresLedger, database_url: str, turn: int) -> None:
    units = [listed(f"u{number:03}", lane="only") for number in range(UNITS)]
    plan = await ledger.plan(query(*units))
    await ledger.apply(plan.id, triggered_by="test")
    lane = Lane(database_url)
    await lane.open()
    workers = [await ledger.open_worker(APP, f"claimer {number}") for number in range(CLAIMERS)]
    await asyncio.gather(*(lane.work(worker) for worker in workers))
    for worker in workers:
        await worker.close()
    await lane.close()
    assert [name for claimed in lane.taken for name in names(claimed)] == [f"u{number:03}" for number in range(UNITS)]
    fences = [claimed.hold.fence for claimed in lane.taken]
    assert fences == sorted(set(fences))
    assert {claimed.hold.lane for claimed in lane.taken} == {lane.taken[0].hold.lane}
    (left,) = await ledger.rows(
        b"select count(*) from penstock.lanes where run_id is not null or process_id is not null"
    )
    assert left == {"count": 0}


@pytest.mark.skipif(MORE == 1, reason="starts 16 processes; PENSTOCK_FAULTS=2 has it")
def test_sixteen_processes_on_one_lane(world: World, turn: int) -> None:
    """Handlers of one lane never overlap: each says when it is entered, in the order of the units."""
    world.prepare(48, 1)
    programs = [world.start(PENSTOCK_LANES=2) for _ in range(CLAIMERS)]
    assert [program.ended(patience=120) for program in programs] == [0] * CLAIMERS, [p.text for p in programs]
    world.assert_complete(48)
    entries = [(e.unit, e.step) for e in sorted(world.entries())]
    assert entries == [(unit, step) for unit in range(48) for step in ("fetch", "compute", "load")]
