"""Language models under caps in dollars: processes are killed, the vendor fails in every way, and the books agree.

What the ledger has is never less than what the vendor bills, and never more than the limit.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from penstock.testing import servers
from penstock.testing.servers import Answer, Call, ChatServer, Cut, Drip, Reply, Turned
from tests.faults.world import MORE, Program, World, until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 * MORE)]

UNITS, LANES, PROCESSES, SECTIONS, KILLS = 24, 12, 4, 4, 6
PER = {"input": Decimal(100), "cached": Decimal(25), "output": Decimal(1000)}


class Moody:
    """A vendor that answers well in half of the cases; asked from several of the server's tasks."""

    def __init__(self, seed: int) -> None:
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.made: Counter[str] = Counter()

    def __call__(self, call: Call) -> Reply:
        with self._lock:
            mood, length = self._random.random(), self._random.randrange(1, 150)
        answer = Answer(text="word " * length, cached=length % 7, usage=length % 5 != 0)
        if mood < 0.15:
            return Turned(status=429, retry_after=0.02)
        if mood < 0.25:
            return Turned(status=503)
        self.made[call.text] += 1
        if mood < 0.32:
            return Cut(answer=answer, at="headers")
        if mood < 0.40:
            return Cut(answer=answer, after=2)
        return Drip(answer=answer, seconds=0.0002) if mood < 0.5 else answer


def used(world: World, quota: str = "usd") -> Decimal:
    """What the ledger has."""
    ((amount,),) = world.ask(
        "select coalesce(sum(w.used), 0) from penstock.quota_windows w join penstock.quotas q using (quota_id)"
        " where q.name = %s",
        quota,
    )
    return Decimal(amount)


def harass(world: World, server: ChatServer, chance: random.Random, **settings: str | float) -> int:
    """Keep processes at work and kill one after so many more calls; how many were killed."""
    world.program = Path(__file__).parent / "programs" / "asking.py"

    def start() -> Program:
        return world.start(URL=server.url, PENSTOCK_LANES=2, **settings)

    programs, killed = [start() for _ in range(PROCESSES)], 0
    for _ in range(KILLS):
        goal = len(server.calls) + chance.randrange(1, 10)
        until(
            lambda goal=goal: len(server.calls) >= goal or all(p.process.poll() is not None for p in programs),  # type: ignore[misc]
            "calls",
        )
        alive = [p for p in programs if p.process.poll() is None]
        if not alive:
            break
        chance.choice(alive).kill()
        killed += 1
        programs.append(start())
    for program in programs:
        program.ended(patience=120)
    assert start().ended(patience=120) == 0, world.programs[-1].text
    return killed


@pytest.mark.parametrize("stream", [0, 1], ids=["plain", "streamed"])
def test_the_ledger_never_has_less_than_the_vendors_bill(
    world: World, chance: random.Random, turn: int, stream: int
) -> None:
    world.prepare(UNITS, LANES)
    moody = Moody(chance.randrange(1_000_000))
    with servers.openai(moody) as server:
        assert harass(world, server, chance, LIMIT=1_000_000, STREAM=stream) > 0
        bill = server.bill
    assert world.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", UNITS)]
    assert len(moody.made) == UNITS * SECTIONS
    assert 0 < bill.total(**PER) <= used(world)
    assert used(world) == used(world, "usd_a_run")
    world.assert_nothing_left()


def test_the_vendors_bill_does_not_pass_the_limit(world: World, chance: random.Random, turn: int) -> None:
    """There is money for a part of it: the rest waits for the next month."""
    world.prepare(UNITS, LANES)
    limit = Decimal(3)
    with servers.openai(Moody(chance.randrange(1_000_000))) as server:
        assert harass(world, server, chance, LIMIT=str(limit)) > 0
        billed = server.bill.total(**PER)
    assert limit / 4 < billed <= used(world) <= limit
    states = {state for (state,) in world.ask("select distinct state from penstock.runs")}
    assert states <= {"completed", "scheduled"}
