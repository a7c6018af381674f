"""SIGTERM and SIGINT: a process that is asked to stop finishes what executes, and hands the rest back."""

from __future__ import annotations

import signal

import pytest

from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES = 60, 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_executes_finishes_and_the_rest_is_handed_back(world: World, number: signal.Signals) -> None:
    world.prepare(UNITS, LANES)
    program = world.start(SECONDS=0.2)
    assert world.wait_for_entries(12, program)
    program.send(number)
    assert program.ended(patience=10) == 0, program.text
    assert "Stopping" in program.text
    entered = {(e.run, e.step) for e in world.entries()}
    done = set(world.ask("select run::text, step from penstock.v1_attempts where state = 'done'"))
    assert done == entered, "each step that had begun was finished, and no other was begun"
    states = dict(world.ask("select state, count(*)::int from penstock.runs group by 1"))
    assert states.pop("waiting") > 0
    assert states.keys() <= {"scheduled", "completed"}
    assert world.ask("select distinct wait_reason from penstock.runs where state = 'waiting'") == [("handover",)]
    assert world.count("select count(*) from penstock.lanes where run_id is not null and next_at > now()") == 0
    assert world.ask("select * from penstock.lanes where process_id is not null") == []
    world.finish()
    world.assert_complete(UNITS)
    assert world.lost_processes() == []
    assert world.count("select count(*) from penstock.attempts where state <> 'done'") == 0
    assert world.count("select max(losses) from penstock.runs") == 0


def test_what_does_not_finish_within_the_grace_is_interrupted_and_handed_back(world: World) -> None:
    """A thread is interrupted as well, so that the next process does not run the same step beside it."""
    world.prepare(3, 3)
    program = world.start(STUCK=1, PENSTOCK_GRACE=0.5)
    until(lambda: world.loads().keys() == {0, 2}, "the other lanes are done")
    program.send(signal.SIGTERM)
    assert program.ended(patience=10) == 0, program.text
    assert world.ask("select wait_reason from penstock.runs where state = 'waiting'") == [("handover",)]
    world.finish()
    world.assert_complete(3)
    assert world.lost_processes() == []


def test_handing_over_again_and_again_fails_nothing(world: World) -> None:
    """A step that is longer than every stop is not one that kills its process."""
    world.prepare(1, 1)
    for number in range(1, 7):
        program = world.start(STUCK=0, PENSTOCK_GRACE=0)
        until(lambda: sum(e.step == "compute" for e in world.entries()) == number, "it is entered")  # noqa: B023
        program.send(signal.SIGTERM)
        assert program.ended(patience=10) == 0, program.text
    world.finish()
    world.assert_complete(1)
    assert world.count("select count(*) from penstock.attempts where state = 'lost'") == 6


def test_a_second_interrupt_ends_at_once(world: World) -> None:
    """Nothing that was recorded is lost, and the next process need not wait for the lease."""
    world.prepare(3, 3)
    program = world.start(STUCK=1, PENSTOCK_GRACE=60)
    until(lambda: world.loads().keys() == {0, 2}, "the other lanes are done")
    program.send(signal.SIGINT)
    until(lambda: "Stopping" in program.text, "the first interrupt is heard")
    program.send(signal.SIGINT)
    assert program.ended(patience=2) == 130
    world.finish(patience=15)
    world.assert_complete(3)
    assert world.lost_processes() == [program.pid]
