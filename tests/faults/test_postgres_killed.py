"""kill -9 of PostgreSQL while runs go on, a shutdown without tidying up, and an outage longer than any lease.

What was committed is there when the server is back, and so is nothing else: each unit is loaded once. The programs
outlive it, wait, and go on by themselves.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.faults.server import Server
from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 150, 24
LEASE = 3


def _backend(server: Server, chance: random.Random) -> None:
    """One of its processes dies in mid-work: the server throws all of them out and recovers by itself."""
    victims = [
        pid for pid in server.children() if "penstock writer" in _title(pid) or "postgres: postgres" in _title(pid)
    ]
    os.kill(chance.choice(victims), signal.SIGKILL)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_it_is_killed_at_random_moments_in_random_ways(
    mortal: World, own_server: Server, chance: random.Random, turn: int
) -> None:
    world = mortal
    world.prepare(UNITS, LANES)
    programs = [world.start(PENSTOCK_LANES=4) for _ in range(2)]
    assert all(world.wait_for_entries(1, program, own=True) for program in programs)
    kills = 0
    while kills < 3 and world.wait_for_entries(chance.randrange(5, 80), programs[0]):
        match chance.choice(["power", "at once", "one of them"]):
            case "power":
                own_server.kill()
                own_server.start()
            case "at once":
                own_server.stop(signal.SIGQUIT)
                own_server.start()
            case _:
                _backend(own_server, chance)
        until(own_server.answers, "the server is back")
        kills += 1
    assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
    assert kills >= 2
    world.assert_complete(UNITS)
    assert not any("Traceback" in program.text for program in programs)


def test_an_outage_longer_than_the_lease(mortal: World, own_server: Server, chance: random.Random, turn: int) -> None:
    """The processes give their leases up by their own clocks, interrupt their handlers, and begin anew with new ones.

    No lease is over within 30 seconds of the server's start, so nobody is taken over who could not renew.
    """
    world = mortal
    world.prepare(60, 12)
    programs = [world.start(PENSTOCK_LANES=4, OPEN=0.1, PENSTOCK_LEASE_SECONDS=LEASE) for _ in range(2)]
    assert world.wait_for_entries(chance.randrange(1, 40), programs[0])
    if chance.random() < 0.5:
        own_server.kill()
    else:
        own_server.stop(signal.SIGQUIT)
    over = time.monotonic() + LEASE * (1.2 + chance.random())
    until(lambda: time.monotonic() > over, "the leases are over")
    assert [program.process.poll() for program in programs] == [None, None], "they wait for it"
    own_server.start()
    assert [program.ended(patience=90) for program in programs] == [0, 0], [program.text for program in programs]
    world.assert_complete(60)
    assert not any("Traceback" in program.text for program in programs)
