"""Several processes that want the same: each unit is made once, and what was not taken is counted, with the reason."""

from __future__ import annotations

import ast

import pytest

from tests.faults.world import MORE, Program, World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 * MORE)]

PROCESSES, UNITS, ROUNDS = 4, 500, 2 * MORE


def planned(world: World) -> int:
    """Make a plan; nothing runs."""
    return int(world.finish(DO="plan").text)


def told(program: Program) -> tuple[dict[str, int], dict[str, int]]:
    """The counts of runs and of dropped units that a program wrote last."""
    assert program.ended() == 0, program.text
    counts, dropped = program.text.splitlines()[-1].replace("} {", "}|{").split("|")
    return ast.literal_eval(counts), ast.literal_eval(dropped)


def test_two_apply_the_same_gaps_at_once(world: World) -> None:
    world.prepare(100, 20)
    plans = [planned(world) for _ in range(2)]
    first, second = (told(program) for program in [world.start(DO=plan) for plan in plans])
    assert first[0].get("completed", 0) + second[0].get("completed", 0) == 100
    for counts, dropped in (first, second):
        assert counts.get("completed", 0) + sum(dropped.values()) == 100
    world.assert_complete(100)


def test_gaps_that_were_read_before_others_ended_are_not_filled_again(world: World) -> None:
    """Plans A and B saw the same gaps; when B is applied A's runs are over, so no unit is in flight any more."""
    world.prepare(60, 12)
    plan_a, plan_b = planned(world), planned(world)
    assert told(world.start(DO=plan_a)) == ({"completed": 60}, {})
    assert told(world.start(DO=plan_b)) == ({}, {"changed since planned": 60})
    world.assert_complete(60)


def test_gaps_that_others_fill_now_are_not_taken(world: World) -> None:
    world.prepare(8, 1)
    plan_a, plan_b = planned(world), planned(world)
    first = world.start(DO=plan_a, STUCK=0)
    assert world.wait_for_entries(2, first)
    second = world.start(DO=plan_b)
    until(lambda: world.count("select count(*) from penstock.plans where state = 'applied'") == 2, "the second apply")
    first.kill()
    assert told(second) == ({}, {"taken by another": 8})
    world.assert_complete(8)


def test_many_plan_and_apply_the_same_units(world: World) -> None:
    """They start each round at the same moment, so that their gap queries, applies and ends are mixed up."""
    world.prepare(0, 1)
    gates = [world.folder / f"gate{number}" for number in range(ROUNDS)]
    settings = {"GATE": ":".join(map(str, gates)), "SECONDS": 0, "PENSTOCK_LANES": 4}
    programs = [world.start(**settings) for _ in range(PROCESSES)]
    for number, gate in enumerate(gates, 1):
        until(lambda number=number: all(p.text.count("at the gate") == number for p in programs), "all at the gate")
        world.want((number - 1) * UNITS, UNITS, 64)
        gate.touch()
    assert [program.ended() for program in programs] == [0] * PROCESSES, [program.text for program in programs]
    world.assert_complete(ROUNDS * UNITS)
    plans = world.ask("select sum(runs)::int, count(*)::int from penstock.plans where state = 'applied'")
    assert plans == [(ROUNDS * UNITS, ROUNDS * PROCESSES)]
