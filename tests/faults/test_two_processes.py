"""Several processes that want the same: each unit is made once, and what was not taken is counted, with the reason."""

from __future__ import annotations

import pytest

from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PROCESSES, UNITS, ROUNDS = 4, 500, 2


def planned(world: World) -> int:
    """Make a plan; nothing runs."""
    return int(world.finish(DO="plan").text)


def applied(world: World, plan: int) -> tuple[int, dict[str, int]]:
    """The runs of a plan, and the units that it dropped by reason."""
    ((runs, dropped),) = world.ask("select runs, dropped from penstock.plans where plan_id = %s", plan)
    return runs, {reason: count for reason, count in dropped.items() if count}


def test_two_apply_the_same_gaps_at_once(world: World) -> None:
    world.prepare(100, 20)
    plans = [planned(world) for _ in range(2)]
    programs = [world.start(DO=plan) for plan in plans]
    assert [program.ended() for program in programs] == [0, 0], [program.text for program in programs]
    (first, lost), (second, lost_too) = (applied(world, plan) for plan in plans)
    assert first + second == 100
    assert first + sum(lost.values()) == second + sum(lost_too.values()) == 100
    world.assert_complete(100)


def test_gaps_that_were_read_before_others_ended_are_not_filled_again(world: World) -> None:
    """Plans A and B saw the same gaps; when B is applied A's runs are over, so no unit is in flight any more."""
    world.prepare(60, 12)
    plan_a, plan_b = planned(world), planned(world)
    world.finish(DO=plan_a)
    assert applied(world, plan_a) == (60, {})
    assert world.finish(DO=plan_b).text == "{} {'changed since planned': 60}\n"
    assert applied(world, plan_b) == (0, {"changed since planned": 60})
    world.assert_complete(60)


def test_gaps_that_others_fill_now_are_not_taken(world: World) -> None:
    world.prepare(8, 1)
    plan_a, plan_b = planned(world), planned(world)
    first = world.start(DO=plan_a, STUCK=0)
    assert world.wait_for_entries(2, first)
    second = world.start(DO=plan_b)
    until(lambda: world.count("select count(*) from penstock.plans where state = 'applied'") == 2, "the second apply")
    first.kill()
    assert second.ended() == 0, second.text
    assert applied(world, plan_b) == (0, {"taken by another": 8})
    world.assert_complete(8)


def test_many_plan_and_apply_the_same_units(world: World, turn: int) -> None:
    """They start each round at the same moment, so that their gap queries, applies and ends are mixed up."""
    world.prepare(0, 1)
    gates = [world.folder / f"gate{number}" for number in range(ROUNDS)]
    waiting = ":".join(map(str, gates))
    programs = [world.start(GATE=waiting, SECONDS=0, PENSTOCK_LANES=4) for _ in range(PROCESSES)]
    for number, gate in enumerate(gates, 1):
        until(lambda: {p.text.count("at the gate") for p in programs} == {number}, "all at the gate")  # noqa: B023
        world.want((number - 1) * UNITS, UNITS, 64)
        gate.touch()
    assert [program.ended() for program in programs] == [0] * PROCESSES, [program.text for program in programs]
    world.assert_complete(ROUNDS * UNITS)
    plans = world.ask("select sum(runs)::int, count(*)::int from penstock.plans where state = 'applied'")
    assert plans == [(ROUNDS * UNITS, ROUNDS * PROCESSES)]
