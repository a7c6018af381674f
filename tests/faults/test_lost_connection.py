"""The connection breaks at the moments after which nobody can know what the server did."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from tests.faults.proxy import How, Moment, Proxy
from tests.faults.world import MORE, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 120, 12
EVERY = 12
"""One request in so many is cut."""


@pytest.mark.parametrize("moments", [("commit", "step"), ("write",), ("claim",)], ids="+".join)
def test_each_unit_ends_once(world: World, chance: random.Random, moments: tuple[Moment, ...], turn: int) -> None:
    """Whether a COMMIT was lost, or only its answer, or it came late: nothing is done twice, nobody waits for ever.

    The process goes on by itself: its lease holds, and it finds out what became of what it sent.
    """
    world.prepare(UNITS, LANES)
    every = 2 if moments == ("claim",) else EVERY

    def decide(moment: Moment) -> How | None:
        return chance.choice(get_args(How)) if moment in moments and chance.randrange(every) == 0 else None

    with Proxy(world.url, world.folder, decide, claims="claim" in moments).running() as proxy:
        program = world.finish(PENSTOCK_DATABASE_URL=proxy.url)
    assert {moment for moment, _ in proxy.cuts} == set(moments)
    assert sum(proxy.cuts.values()) >= (1 if moments == ("claim",) else 5)
    print(proxy.cuts, program.text)  # noqa: T201 - how often each way was taken
    world.assert_complete(UNITS)
    assert world.lost_processes() == []


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("moment", ("write", "step", "commit", "claim") if MORE > 1 else ("commit", "write"))
def test_one_cut(world: World, moment: Moment, how: How) -> None:
    """Each way once, with nothing else going on that might heal it."""
    world.prepare(2, 1)
    left: list[How] = [how]

    def decide(now: Moment) -> How | None:
        return left.pop() if left and now == moment else None

    with Proxy(world.url, world.folder, decide, claims=moment == "claim").running() as proxy:
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


def test_a_load_cut_in_the_middle_of_copy(world: World, chance: random.Random, turn: int) -> None:
    """A step that copies: none of its rows are there, or all of them once, whichever message was the last."""
    world.prepare(12, 4)
    left: list[How] = ["request"] * 4

    def decide(now: Moment) -> How | None:
        return left.pop() if left and now == "copy" and chance.randrange(8) == 0 else None

    with Proxy(world.url, world.folder, decide).running() as proxy:
        world.finish(PENSTOCK_DATABASE_URL=proxy.url, COPY=20_000)
    assert sum(proxy.cuts.values()) >= 1
    world.assert_complete(12)
    copied = world.ask(
        "select number, count(*)::int, count(distinct line)::int from public.copied group by 1 order by 1"
    )
    assert copied == [(number, 20_000, 20_000) for number in range(12)]
    assert world.lost_processes() == []


def test_a_plan_cut_in_the_middle_of_copy(world: World, chance: random.Random, turn: int) -> None:
    """A list of units on its way into a plan: the plan is not there, the caller is told, and the next one is whole."""
    world.prepare(0, 1)
    last = chance.randrange(1, 12)
    seen: list[int] = []

    def decide(now: Moment) -> How | None:
        seen.extend([1] if now == "copy" else [])
        return "request" if now == "copy" and len(seen) == last else None

    with Proxy(world.url, world.folder, decide).running() as proxy:
        program = world.start(PENSTOCK_DATABASE_URL=proxy.url, DO="plan", LISTED=20_000)
        assert program.ended() == 1, (program.text, len(seen), last)
    assert "error: The database does not answer" in program.text
    assert "Traceback" not in program.text
    assert sum(proxy.cuts.values()) == 1
    assert world.ask("select * from penstock.plans") == []
    plan = int(world.finish(DO="plan", LISTED=20_000).text)
    assert world.ask("select summary->>'runs' from penstock.plans where plan_id = %s", plan) == [("20000",)]
