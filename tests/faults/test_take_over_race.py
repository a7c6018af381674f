"""Take-over racing a step's commit: the load is there if, and only if, its step is on record, and nothing loads twice.

A write holds its process's row FOR KEY SHARE until its commit; take-over wants that row FOR UPDATE before it raises
fences. So either the write is on disk before an heir reads the record, or it is turned away. The control, the same
function without that lock, lets a zombie's load commit after its heir has read the record: the check must see it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from penstock.ledger.encoding import attempt_json, document
from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.queries import load
from penstock.ledger.worker import PostgresWorker
from penstock.model.errors import LeaseLost
from penstock.ports.records import Claimed
from penstock.testing.contracts.ledger_case import APP, PIPELINE, listed, over, query, tried
from tests.faults.world import MORE

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LANES, ROUNDS = 6, 40
LOADED: Final = """
create table public.loaded (run bigint, process bigint);
create function public.dawdle() returns trigger language plpgsql as
  'begin perform pg_sleep(random() * 0.05); return null; end';
create constraint trigger dawdle after insert on public.loaded deferrable initially deferred
  for each row execute function public.dawdle();
"""
"""Each commit takes a moment after `record` has looked at the fence: the moment that the race is about."""


@dataclass
class Tally:
    """What happened in all rounds."""

    rounds: int = 0
    kept: int = 0
    turned_away: int = 0
    wrong: Sequence[Any] = ()


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    opened = PostgresLedger(database_url, size=20)
    await opened.open()
    async with opened.connection() as connection:
        await connection.execute(LOADED)
    yield opened
    await opened.close()


async def load_once(worker: PostgresWorker, claimed: Claimed, seq: int, after: float = 0.0) -> bool:
    """What the executor does with a step that loads; True if it was committed."""
    await asyncio.sleep(after)
    transaction = worker.transaction(claimed.hold)
    try:
        await transaction.execute("insert into public.loaded values (%s, %s)", (claimed.hold.run, worker.process))
        await transaction.commit(tried(claimed, seq), [])
    except LeaseLost:
        return False
    return True


async def take_over(ledger: PostgresLedger, worker: PostgresWorker, after: float) -> None:
    """Declare the worker dead at some moment; a writer that holds its row is passed over and found the next time."""
    await asyncio.sleep(after)
    taken = False
    while not taken:
        async with ledger.connection() as connection:
            await connection.execute("select penstock.take_over(%s)", ([worker.process],))
            cursor = await connection.execute(
                "select lost_at is not null from penstock.processes where process_id = %s", (worker.process,)
            )
            ((taken,),) = await cursor.fetchall()


async def inherit(ledger: PostgresLedger, heir: PostgresWorker, zombie: PostgresWorker, after: float) -> None:
    """What an engine does with runs that it takes up: what is on record is not done again."""
    await take_over(ledger, zombie, after)
    inherited = await heir.claim(LANES, [PIPELINE])
    assert len(inherited) == LANES
    await asyncio.gather(*(go_on(heir, run) for run in inherited))


async def go_on(heir: PostgresWorker, run: Claimed) -> None:
    history = await heir.history(run.hold.run)
    if not history.tries:
        assert await load_once(heir, run, 1 + max((a.seq for a in history.attempts), default=0))
    await heir.end(over(run))


async def play(ledger: PostgresLedger, chance: random.Random, rounds: int) -> Tally:
    """In each round steps commit while their process is taken over and an heir goes on; the heir is the next to die.

    It ends with the first round after which something is wrong.
    """
    tally = Tally()
    zombie = await ledger.open_worker(APP, "first")
    while tally.rounds < rounds and not tally.wrong:
        units = [listed(f"{tally.rounds}.{n}", lane=str(n)) for n in range(LANES)]
        plan = await ledger.plan(query(*units))
        await ledger.apply(plan.id, triggered_by="test")
        claims = await zombie.claim(LANES, [PIPELINE])
        assert len(claims) == LANES
        heir = await ledger.open_worker(APP, f"heir {tally.rounds}")
        kept = await asyncio.gather(
            *(load_once(zombie, claimed, 1, chance.random() * 0.02) for claimed in claims),
            inherit(ledger, heir, zombie, chance.random() * 0.02),
        )
        tally.rounds += 1
        tally.kept += kept.count(True)
        tally.turned_away += kept.count(False)
        tally.wrong = await ledger.rows(
            b"""select * from (select r.run_id, (select count(*) from public.loaded l where l.run = r.run_id) as loads,
                  (select count(*) from penstock.attempts a where a.run_id = r.run_id and a.state = 'done') as records
                from penstock.runs r where r.plan_id = %(plan)s) x where x.loads <> 1 or x.records <> 1""",
            plan=plan.id,
        )
        await zombie.close()
        zombie = heir
    await zombie.close()
    return tally


async def test_a_load_is_there_exactly_if_it_is_on_record(
    ledger: PostgresLedger, chance: random.Random, turn: int
) -> None:
    tally = await play(ledger, chance, ROUNDS)
    assert not tally.wrong
    print(tally)  # noqa: T201 - how often each way was taken
    assert min(tally.kept, tally.turned_away) > ROUNDS / 4, tally  # both ways were taken


async def test_the_check_sees_a_fence_that_does_not_lock(
    ledger: PostgresLedger, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: not a thing that Penstock does."""
    async with ledger.connection() as connection:
        ((text,),) = await (
            await connection.execute("select pg_get_functiondef(oid) from pg_proc where proname = 'record'")
        ).fetchall()
        unlocked = text.replace("penstock.record(", "penstock.record_unlocked(").replace(" for key share", "")
        assert unlocked.count("record_unlocked(") == 1
        assert len(text) - len(unlocked) == len(" for key share") - len("_unlocked")
        await connection.execute(unlocked)
    step = load("work")["record_step"]
    monkeypatch.setitem(load("work"), "record_step", step.replace(b"penstock.record(", b"penstock.record_unlocked("))
    assert (await play(ledger, chance, ROUNDS)).wrong


@pytest.mark.skipif(MORE == 1, reason="takes half a minute; PENSTOCK_FAULTS=2 has it")
async def test_who_goes_silent_before_commit_does_not_keep_take_over_waiting(ledger: PostgresLedger) -> None:
    """Its machine is gone, or it is stopped, between its last statement and COMMIT: the server ends its transaction."""
    plan = await ledger.plan(query(listed("silent", lane="0")))
    await ledger.apply(plan.id, triggered_by="test")
    zombie = await ledger.open_worker(APP, "silent")
    (claimed,) = await zombie.claim(1, [PIPELINE])
    connection = await zombie.transaction(claimed.hold).connection()
    attempts = document([attempt_json(tried(claimed))])
    await connection.execute(
        load("work")["record_step"], {"process": zombie.process, "attempts": attempts, "calls": None}
    )
    async with asyncio.timeout(45):
        await take_over(ledger, zombie, 0)
    await ledger.pool.putconn(connection)
    await zombie.close()
