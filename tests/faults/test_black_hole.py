"""The line to the database falls silent: no reset, no end, nothing.

A process that cannot renew gives its lease up by its own clock, hangs up every line on which it waits, and begins anew
when somebody answers. Nothing is done twice; nothing waits for ever; whoever cannot even begin is told within seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.faults.black_hole import Dropping, Frozen
from tests.faults.server import Server
from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 60, 12
LEASE = 3


@pytest.fixture(params=["dropping", "frozen"])
def line(request: pytest.FixtureRequest, mortal: World, own_server: Server) -> Iterator[Dropping | Frozen]:
    """The server of `mortal`, by a line that can fall silent."""
    if request.param == "dropping":
        yield Dropping(own_server)
        return
    made = Frozen(own_server)
    yield made
    made.close()


def by(line: Dropping | Frozen, world: World) -> str:
    """The world's database, by this line."""
    return f"{line.url.rpartition('/')[0]}/{world.url.rpartition('/')[2]}"


def wait(seconds: float) -> None:
    over = time.monotonic() + seconds
    until(lambda: time.monotonic() > over, "time passes")


def test_silence_longer_than_the_lease(
    mortal: World, line: Dropping | Frozen, chance: random.Random, turn: int
) -> None:
    world = mortal
    world.prepare(UNITS, LANES)
    programs = [
        world.start(PENSTOCK_LANES=4, OPEN=0.05, PENSTOCK_LEASE_SECONDS=LEASE, PENSTOCK_DATABASE_URL=by(line, world))
        for _ in range(2)
    ]
    assert all(world.wait_for_entries(1, program, own=True) for program in programs)
    assert world.wait_for_entries(chance.randrange(1, 40), programs[0])
    with line.silent(for_good=True):
        wait(LEASE * (1.5 + chance.random()))
        assert [program.process.poll() for program in programs] == [None, None], [p.text for p in programs]
    assert [program.ended(patience=90) for program in programs] == [0, 0], [program.text for program in programs]
    world.assert_complete(UNITS)
    assert not any("Traceback" in program.text for program in programs)


def test_a_silence_shorter_than_the_lease_costs_nothing(
    mortal: World, line: Dropping | Frozen, chance: random.Random, turn: int
) -> None:
    world = mortal
    world.prepare(UNITS, LANES)
    program = world.start(OPEN=0.05, PENSTOCK_DATABASE_URL=by(line, world))
    assert world.wait_for_entries(chance.randrange(1, 60), program)
    with line.silent():
        wait(chance.random() * 3)
    assert program.ended() == 0, program.text
    world.assert_complete(UNITS)
    assert world.lost_processes() == []


def test_who_cannot_even_begin_is_told(mortal: World, line: Dropping | Frozen) -> None:
    world = mortal
    world.prepare(1, 1)
    with line.silent():
        began = time.monotonic()
        program = world.start(PENSTOCK_DATABASE_URL=by(line, world))
        assert program.ended(patience=30) == 1
        assert time.monotonic() - began < 20
    assert program.text.startswith("error: The database does not answer")
    assert "Traceback" not in program.text
