"""Clocks that jump while runs go on.

Time is the database's; a process measures only how much of it has passed, by a clock that does not jump. So its own
wall clock may say what it likes. When the database's clock jumps forward, leases end early and work is taken over by
others: once, like any take-over. When it jumps back, what is due waits until it is due again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.ledger.lease import is_alive
from tests.faults.clocks import Clock
from tests.faults.server import Server, database
from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 120, 12
DAY = 86_400.0
BACK = 4.0


def test_the_wall_clock_of_one_process_jumps(world: World, chance: random.Random, turn: int) -> None:
    """By a day, forwards and back: nobody is taken for dead, nothing is done twice, no lease is lost."""
    world.prepare(UNITS, LANES)
    clock = Clock(world.folder)
    world.clocks_agree = False
    world.environ = clock.environ
    jumping = world.start(PENSTOCK_LANES=4, SECONDS=0, PENSTOCK_LEASE_SECONDS=6)
    world.environ = {}
    steady = world.start(PENSTOCK_LANES=4, PENSTOCK_LEASE_SECONDS=6)
    assert all(world.wait_for_entries(1, program, own=True) for program in (jumping, steady))
    for _ in range(4):
        if not world.wait_for_entries(chance.randrange(5, 30), jumping):
            break
        clock.jump(chance.choice([-DAY, -60, 60, DAY]))
    assert [jumping.ended(), steady.ended()] == [0, 0], (jumping.text, steady.text)
    assert any(abs(e.at - time.time()) > 50 for e in world.entries() if e.pid == jumping.pid), "it did jump"
    world.assert_complete(UNITS)
    assert world.lost_processes() == []


def test_all_clocks_of_one_process_jump(world: World, chance: random.Random, turn: int) -> None:
    """A machine that slept for an hour: the process finds its lease over, gives all up, and begins anew."""
    world.prepare(UNITS, LANES)
    clock = Clock(world.folder, boot_too=True)
    world.environ = clock.environ
    program = world.start(PENSTOCK_LANES=4, SECONDS=0)
    assert world.wait_for_entries(chance.randrange(1, 100), program)
    clock.jump(3600)
    assert program.ended() == 0, program.text
    assert world.loads() == dict.fromkeys(range(UNITS), 1)
    assert world.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", UNITS)]
    world.assert_nothing_left()
    assert "Traceback" not in program.text


@pytest.fixture
def jumping_server(tmp_path: Path) -> Iterator[tuple[Server, Clock]]:
    """A server whose clock jumps; the time that its processes have run does not."""
    clock = Clock(tmp_path)
    folder = tmp_path
    while folder != folder.parent:  # the server is another user, and reads the clock's file
        if folder.stat().st_mode & 0o011 != 0o011:
            folder.chmod(folder.stat().st_mode | 0o011)
        folder = folder.parent
    server = Server(tmp_path / "server", environ=clock.environ)
    server.start()
    yield server, clock
    server.end()


def test_the_servers_clock_jumps_forward(
    jumping_server: tuple[Server, Clock], tmp_path: Path, chance: random.Random, turn: int
) -> None:
    """Every lease is over at once, by the server. Each unit is loaded once all the same, and nothing is left behind."""
    server, clock = jumping_server
    with database(server) as url:
        world = World(url, tmp_path)
        world.prepare(UNITS, LANES)
        programs = [world.start(PENSTOCK_LANES=4) for _ in range(2)]
        assert all(world.wait_for_entries(1, program, own=True) for program in programs)
        world.wait_for_entries(chance.randrange(1, 60), programs[0])
        clock.jump(3600)
        assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
        assert world.count("select extract(epoch from now() - min(started_at))::int from penstock.processes") > 3000
        assert world.loads() == dict.fromkeys(range(UNITS), 1)
        assert world.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", UNITS)]
        world.assert_nothing_left()
        assert not any("Traceback" in program.text for program in programs)
        world.end()


def test_the_servers_clock_jumps_back(
    jumping_server: tuple[Server, Clock], tmp_path: Path, chance: random.Random, turn: int
) -> None:
    """Nobody is taken for dead who is not; what was due then waits as long as the clock went back, and no longer."""
    server, clock = jumping_server
    with database(server) as url:
        world = World(url, tmp_path)
        world.clocks_agree = False
        world.prepare(UNITS, LANES)
        programs = [world.start(PENSTOCK_LANES=4) for _ in range(2)]
        assert all(world.wait_for_entries(1, program, own=True) for program in programs)
        world.wait_for_entries(chance.randrange(1, 60), programs[0])
        clock.jump(-BACK)
        assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
        world.assert_complete(UNITS)
        assert world.lost_processes() == []
        world.end()


def test_who_lives_is_told_by_lengths_of_time() -> None:
    """Not by when it began: this process is alive however the clocks of two machines differ."""
    assert is_alive(os.getpid(), 0.0)
    assert is_alive(os.getpid(), -DAY)  # the database's clock went back
    assert not is_alive(os.getpid(), DAY * 3650)  # a process that renewed last before this machine was started
    until(lambda: is_alive(os.getpid(), 1.0), "it is older than that")
