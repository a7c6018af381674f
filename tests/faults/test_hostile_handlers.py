"""Handlers that do what no handler should: whatever it is, it is that handler's failure, or its process's death.

Each of the others' units is loaded once; the culprit's too, as soon as it behaves; nothing is left behind.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.world import Program, World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RAISES: Final = (
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "BaseException",
    "StopIteration",
    "sys.exit",
    "memory at once",
)
KILLS: Final = ("os._exit", "segfault", "SIGKILL")
UNITS, LANES = 24, 12


@pytest.fixture
def hostile(world: World) -> Iterator[World]:
    """A world on which the hostile program works; children that it forked are ended."""
    world.program = Path(__file__).parent / "programs" / "hostile.py"
    world.prepare(UNITS, LANES)
    yield world
    (world.folder / "behave").touch()
    for pid in children(world):
        if f"{world.program}".encode() in _command(pid):
            os.kill(pid, signal.SIGKILL)


def children(world: World) -> list[int]:
    file = world.folder / "children"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def gone(pid: int) -> bool:
    """It has ended, whether or not its parent has asked for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def tried(world: World, unit: int) -> int:
    return sum(e.unit == unit and e.step == "act" for e in world.entries())


def assert_all_well(world: World) -> None:
    """Every unit was loaded once, every run completed, and nothing is held by anybody."""
    assert world.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", UNITS)]
    assert world.loads() == dict.fromkeys(range(UNITS), 1)
    world.assert_nothing_left()


def until_done(world: World, starts: int = 8, **settings: str | float) -> list[Program]:
    """Start it as cron would, again and again, until it ends well."""
    programs: list[Program] = []
    while not programs or programs[-1].ended() != 0:
        assert len(programs) < starts, [program.text for program in programs]
        programs.append(world.start(**settings))
    return programs


@pytest.mark.parametrize("kind", ["async", "thread", "cpu"])
def test_whatever_it_raises_is_its_failure(hostile: World, kind: str) -> None:
    """Also what would end a process: it is tried again like any error, beside the others, in the same process."""
    program = hostile.finish(DOES=",".join(RAISES), KIND=kind, PENSTOCK_LANES=8)
    assert_all_well(hostile)
    assert [tried(hostile, unit) for unit in range(UNITS)] == [2] * len(RAISES) + [1] * (UNITS - len(RAISES))
    assert hostile.lost_processes() == []
    assert len({e.pid for e in hostile.entries() if e.step == "load"}) == 1, program.text


def test_what_kills_a_worker_process_is_one_steps_failure(hostile: World) -> None:
    """A step with cpu=True: it dies alone, also of too little memory."""
    does = (*KILLS, "memory bit by bit")
    hostile.finish(DOES=",".join(does), KIND="cpu")
    assert_all_well(hostile)
    assert [tried(hostile, unit) for unit in range(len(does))] == [2] * len(does)
    assert hostile.lost_processes() == []


def test_what_kills_its_process_is_taken_over(hostile: World, chance: random.Random, turn: int) -> None:
    does, kind = chance.choice(KILLS), chance.choice(["async", "thread"])
    programs = until_done(hostile, DOES=f"nothing,{does}", KIND=kind)
    assert len(programs) == 2, (does, kind)
    assert_all_well(hostile)
    assert tried(hostile, 1) == 2
    assert hostile.lost_processes() == [programs[0].pid]


def test_what_eats_the_memory_of_its_process_hurts_nobody_for_good(
    hostile: World, chance: random.Random, turn: int
) -> None:
    """Whoever asks for memory next is refused, handler or not: whatever that ends, the next process goes on."""
    until_done(hostile, DOES="nothing,memory bit by bit", KIND=chance.choice(["async", "thread"]))
    assert_all_well(hostile)


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_a_forked_child_that_comes_back_ends(hostile: World, kind: str, chance: random.Random, turn: int) -> None:
    """It is a copy of a process that holds a lease and connections: it must not act as if they were its own."""
    does = chance.choice(["fork and return", "fork and raise"])
    program = hostile.finish(DOES=f"nothing,{does}", KIND=kind)
    (child,) = children(hostile)
    until(lambda: gone(child), "the child has ended", patience=5)
    assert_all_well(hostile)
    assert {e.pid for e in hostile.entries()} == {program.pid}
    assert "forked" in program.text


def test_a_forked_child_that_lives_on_holds_nothing(hostile: World) -> None:
    """It has a copy of each connection; when its parent is killed, the server must not wait for it."""
    first = hostile.start(DOES="nothing,fork and live on", KIND="thread", PENSTOCK_LANES=2)
    until(lambda: children(hostile), "it has forked")
    first.kill()
    hostile.finish()
    assert_all_well(hostile)
    (child,) = children(hostile)
    assert not gone(child)


def test_one_that_never_yields_keeps_its_lease(hostile: World) -> None:
    """A loop that stands still loses nothing: nobody takes its unit up beside it, and it goes on when it can."""
    first = hostile.start(DOES="nothing,never yield", KIND="async", PENSTOCK_LANES=2, PENSTOCK_LEASE_SECONDS=3)
    until(lambda: tried(hostile, 1), "it stands still")
    second = hostile.start(KIND="async", PENSTOCK_LEASE_SECONDS=3)
    until(lambda: "held the event loop" in first.text, "its author is told", patience=20)
    until(lambda: len(hostile.loads()) >= UNITS - 6, "the rest is done")
    assert first.process.poll() is None
    assert tried(hostile, 1) == 1
    (hostile.folder / "behave").touch()
    assert [first.ended(), second.ended()] == [0, 0], (first.text, second.text)
    assert_all_well(hostile)
    assert tried(hostile, 1) == 1
    assert hostile.lost_processes() == []


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_one_that_ignores_its_interruption_ends_its_process(hostile: World, kind: str) -> None:
    """Its time is over and it does not go: the process says so and ends, and the next one goes on."""
    first = hostile.start(DOES="nothing,ignore cancel", KIND=kind, TIMEOUT=1, STUBBORN=1)
    assert first.ended(patience=30) != 0
    assert "was interrupted and did not go" in first.text
    assert "Traceback" not in first.text
    hostile.finish()
    assert_all_well(hostile)
    assert tried(hostile, 1) == 2


def test_one_that_ignores_its_interruption_in_a_worker_process_is_killed(hostile: World) -> None:
    hostile.finish(DOES="nothing,ignore cancel", KIND="cpu", TIMEOUT=8, PENSTOCK_LANES=2)
    assert_all_well(hostile)
    assert tried(hostile, 1) == 2


def test_one_that_never_yields_and_has_a_limit_loses_its_process_the_lease(hostile: World) -> None:
    """Nothing can interrupt it in its loop; its process says so, renews no more, and others go on."""
    first = hostile.start(DOES="nothing,never yield", TIMEOUT=1, STUBBORN=1, PENSTOCK_LEASE_SECONDS=3)
    until(lambda: tried(hostile, 1), "it stands still")
    until(lambda: "does not go" in first.text, "it is told", patience=20)
    hostile.finish(PENSTOCK_LEASE_SECONDS=3, patience=90)
    assert_all_well(hostile)
    assert tried(hostile, 1) == 2
    first.kill()
