"""A step that kills its process each time: it is given up after five losses, and hurts nobody else."""

from __future__ import annotations

import pytest

from tests.faults.world import MORE, World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, KILLER = 24, 7


@pytest.mark.parametrize("seconds", [0.01, 0.3] if MORE > 1 else [0.3])
def test_the_fifth_loss_ends_it_and_the_other_lanes_are_unhurt(world: World, seconds: float) -> None:
    """Also when the others' steps take longer than a process lives, so that each death hits them too."""
    world.prepare(UNITS, 12)
    starts = 0
    while (status := world.start(KILLER=KILLER, SECONDS=seconds, PENSTOCK_LANES=12).ended()) == 9:
        starts += 1
        assert starts <= 8, "as cron would, but not for ever"
    assert starts == 5
    assert status == 1, "the program says that a run failed"
    assert world.ask("select state, error_class, failed_step from penstock.runs where state <> 'completed'") == [
        ("failed", "lost", "compute")
    ]
    assert world.loads() == dict.fromkeys(set(range(UNITS)) - {KILLER}, 1)
    assert sum(e.unit == KILLER and e.step == "compute" for e in world.entries()) == 5
    world.assert_nothing_ran_again()
    world.assert_nothing_left()
    assert len(world.lost_processes()) == 5
