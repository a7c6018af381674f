"""A process that is stopped past its lease, and wakes when others have done its work.

It is alive, so its neighbours cannot find it dead by its pid: only the lease counts. Within 30 seconds of the server's
start no lease is over; a server that the tests have just started makes this test wait for that.
"""

from __future__ import annotations

import signal

import pytest

from tests.faults.world import World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LEASE = 3


def test_a_zombie_that_wakes_is_turned_away_and_goes_on(world: World) -> None:
    """It stopped with a row in an open transaction; its commit comes after another has loaded that unit."""
    world.prepare(12, 3)
    zombie = world.start(OPEN=0.5, PENSTOCK_LEASE_SECONDS=LEASE)
    until(lambda: any(e.step == "load" for e in world.entries()), "a load is under way")
    zombie.send(signal.SIGSTOP)
    stopped = {e.unit for e in world.entries() if e.step == "load"} - world.loads().keys()
    assert stopped
    world.finish(PENSTOCK_LEASE_SECONDS=LEASE, patience=90)
    assert world.loads() == dict.fromkeys(range(12), 1)
    assert zombie.process.poll() is None
    assert world.lost_processes() == [zombie.pid]
    world.want(12, 12, 3)  # what it finds when it wakes
    zombie.send(signal.SIGCONT)
    assert zombie.ended() == 0, zombie.text
    assert "lost its lease" in zombie.text or "taken over" in zombie.text
    assert {e.unit for e in world.entries() if e.pid != zombie.pid} >= stopped
    world.finish(PENSTOCK_LEASE_SECONDS=LEASE)
    world.assert_complete(24)


def test_a_process_that_slept_less_than_its_lease_keeps_its_work(world: World) -> None:
    """And with nobody there to take over it goes on as well."""
    world.prepare(12, 3)
    program = world.start(OPEN=0.3)
    until(lambda: any(e.step == "load" for e in world.entries()), "a load is under way")
    program.send(signal.SIGSTOP)
    other = world.start()
    until(lambda: world.count("select count(*) from penstock.processes") == 2, "another looks for the dead")
    program.send(signal.SIGCONT)
    assert [program.ended(), other.ended()] == [0, 0]
    world.assert_complete(12)
    assert world.lost_processes() == []
