"""Behind PgBouncer in transaction mode: no prepared statements, no LISTEN, no session's locks or settings.

Penstock sees that a pooler is there and uses nothing that outlives a transaction. What it loses is time: who waits for
news looks every few seconds instead.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from penstock.ledger.link import dialled, prepare_nothing_if_pooled
from penstock.ledger.migrate import status
from tests.faults.pooler import Pooler
from tests.faults.server import Server
from tests.faults.world import World, race_to_upgrade

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 120, 12


@pytest.fixture
def pooler(mortal: World, own_server: Server, tmp_path: Path) -> Iterator[Pooler]:
    """In front of the server of `mortal`; what is left in the world's own URL goes around it."""
    made = Pooler(own_server, tmp_path)
    made.start()
    yield made
    made.kill()


def by(pooler: Pooler, world: World) -> str:
    """The world's database, through the pooler."""
    return f"{pooler.url.rpartition('/')[0]}/{world.url.rpartition('/')[2]}"


def test_migrations_race_through_it(mortal: World, pooler: Pooler) -> None:
    """Their lock belongs to the transaction, so it is held while they migrate, and not held afterwards."""
    race_to_upgrade(by(pooler, mortal))
    assert status(mortal.url).current
    assert mortal.count("select count(*) from penstock.migrations") == 1
    assert mortal.ask("select * from pg_locks where locktype = 'advisory'") == []


def test_work_goes_on_through_it(mortal: World, pooler: Pooler, chance: random.Random, turn: int) -> None:
    """Two processes, one of which is killed, and the pooler too: every line breaks, and is dialled again."""
    world, url = mortal, by(pooler, mortal)
    world.prepare(UNITS, LANES)
    first, second = (world.start(PENSTOCK_LANES=4, PENSTOCK_DATABASE_URL=url) for _ in range(2))
    assert world.wait_for_entries(1, second, own=True)
    assert world.wait_for_entries(chance.randrange(1, 60), first, own=True)
    second.kill()
    pooler.kill()
    pooler.start()
    assert first.ended() == 0, first.text
    world.assert_complete(UNITS)
    assert "prepared statement" not in first.text
    assert set(world.lost_processes()) <= {second.pid}


def test_what_another_process_started_is_found_without_news(mortal: World, pooler: Pooler) -> None:
    """LISTEN is lost: one that waits for another's runs sees them end all the same, and takes over what it leaves."""
    world, url = mortal, by(pooler, mortal)
    world.prepare(12, 3)
    first = world.start(PENSTOCK_LANES=3, OPEN=0.2, PENSTOCK_DATABASE_URL=url)
    assert world.wait_for_entries(3, first, own=True)
    second = world.start(PENSTOCK_LANES=3, OPEN=0.2, PENSTOCK_DATABASE_URL=url)
    assert [first.ended(), second.ended()] == [0, 0], (first.text, second.text)
    world.assert_complete(12)


async def test_it_is_seen(mortal: World, pooler: Pooler) -> None:
    seen: list[bool] = []
    for url in (mortal.url, by(pooler, mortal)):
        async with await psycopg.AsyncConnection.connect(dialled(url)) as connection:
            await prepare_nothing_if_pooled(connection)
            seen.append(connection.prepare_threshold is None)
    assert seen == [False, True]
