"""The connection breaks at the moments after which nobody can know what the server did."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from tests.faults.proxy import How, Moment, Proxy
from tests.faults.world import MORE, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 * MORE)]

UNITS, LANES = 120, 12
EVERY = 12
"""One request in so many is cut."""


@pytest.mark.parametrize("turn", range(MORE))
@pytest.mark.parametrize("moments", [("commit", "step"), ("write",)], ids="+".join)
def test_each_unit_ends_once(world: World, chance: random.Random, moments: tuple[Moment, ...], turn: int) -> None:
    """Whether a COMMIT was lost, or only its answer, or it came late: nothing is done twice, nobody waits for ever.

    The process goes on by itself: its lease holds, and it finds out what became of what it sent.
    """
    world.prepare(UNITS, LANES)

    def decide(moment: Moment) -> How | None:
        return chance.choice(get_args(How)) if moment in moments and chance.randrange(EVERY) == 0 else None

    with Proxy(world.url, world.folder, decide).running() as proxy:
        program = world.finish(PENSTOCK_DATABASE_URL=proxy.url)
    assert {moment for moment, _ in proxy.cuts} == set(moments)
    assert sum(proxy.cuts.values()) >= 5
    print(proxy.cuts, program.text)  # noqa: T201 - how often each way was taken
    world.assert_complete(UNITS)
    assert world.lost_processes() == []


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("moment", get_args(Moment) if MORE > 1 else ("commit", "write"))
def test_one_cut(world: World, moment: Moment, how: How) -> None:
    """Each way once, with nothing else going on that might heal it."""
    world.prepare(2, 1)
    left: list[How] = [how]

    def decide(now: Moment) -> How | None:
        return left.pop() if left and now == moment else None

    with Proxy(world.url, world.folder, decide).running() as proxy:
        world.finish(PENSTOCK_DATABASE_URL=proxy.url)
    assert dict(proxy.cuts) == {(moment, how): 1}
    world.assert_complete(2)


@pytest.mark.parametrize("how", get_args(How))
def test_one_cut_in_a_batch(world: World, how: How) -> None:
    """There each unit has a transaction and a record of its own, and no record but that one tells what became of it."""
    world.prepare(4, 1)
    left: list[How] = [how]

    def decide(now: Moment) -> How | None:
        return left.pop() if left and now == "commit" else None

    with Proxy(world.url, world.folder, decide).running() as proxy:
        world.finish(PENSTOCK_DATABASE_URL=proxy.url, BATCH=4)
    assert dict(proxy.cuts) == {("commit", how): 1}
    assert world.loads() == dict.fromkeys(range(4), 1)
    assert world.ask("select state, units from penstock.runs") == [("completed", 4)]
    world.assert_nothing_left()
