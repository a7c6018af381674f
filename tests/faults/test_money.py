"""Caps that eight processes, killed again and again, cannot pass: the vendor's book against the ledger's.

A process that dies between a call and its record leaves the draw at its worst case: the ledger never says that less was
spent than the vendor billed, and never admits more than the limit.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.world import Program, World, until, whole_lines

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UNITS, LANES, PROCESSES, SECTIONS, WORST = 60, 16, 8, 5, 30


@dataclass(frozen=True)
class Bill:
    """One call, as the vendor has it."""

    pid: int
    run: str
    unit: int
    section: int
    cents: int


class Vendor:
    """Whoever is paid: their book is a file that survives everybody."""

    def __init__(self, world: World, *, limit: int, cap: int) -> None:
        self.world, self.book = world, world.folder / "invoice"
        self.book.touch()
        self.settings: dict[str, str | float] = {
            "INVOICE": str(self.book),
            "LIMIT": limit,
            "CAP": cap,
            "PENSTOCK_LANES": 2,
        }
        world.program = Path(__file__).parent / "programs" / "spending.py"

    def start(self) -> Program:
        return self.world.start(**self.settings)

    def bills(self) -> list[Bill]:
        lines = (line.split() for line in whole_lines(self.book))
        return [Bill(int(pid), run, int(unit), int(section), int(cents)) for _, pid, run, unit, section, cents in lines]

    def wait_for(self, bills: int, programs: Sequence[Program]) -> None:
        """Until there are so many bills, or none of these programs runs any more."""
        until(
            lambda: len(self.bills()) >= bills or all(p.process.poll() is not None for p in programs),
            f"{bills} calls",
        )

    def harass(
        self, chance: random.Random, kills: int, *, processes: int = PROCESSES, statuses: Sequence[int] = (0,)
    ) -> list[int]:
        """Keep so many processes at work and kill one after some more calls; the pids of the killed.

        Those that are spared end with one of these exit statuses.
        """
        programs, killed = [self.start() for _ in range(processes)], list[int]()
        for _ in range(kills):
            have = len(self.bills())
            more = chance.randrange(1, 12)
            self.wait_for(have + more, programs)
            alive = [p for p in programs if p.process.poll() is None]
            if not alive:
                break
            victim = chance.choice(alive)
            victim.kill()
            killed.append(victim.pid)
            programs.append(self.start())
        for program in programs:
            if program.pid not in killed:
                assert program.ended() in statuses, program.text
        return killed

    def used(self, quota: str = "cents") -> int:
        return self.world.count(
            "select coalesce(sum(w.used), 0) from penstock.quota_windows w join penstock.quotas q using (quota_id)"
            " where q.name = %s",
            quota,
        )


def test_a_month_is_not_overspent(world: World, chance: random.Random, turn: int) -> None:
    """There is money for about half of it: what is left waits for the next month, whoever was killed."""
    world.prepare(UNITS, LANES)
    vendor = Vendor(world, limit=2_400, cap=10_000)
    killed = vendor.harass(chance, 10)
    assert killed
    assert world.start(**vendor.settings).ended() == 0
    billed = sum(bill.cents for bill in vendor.bills())
    assert billed <= vendor.used() <= 2_400
    assert billed > 900  # it was spent, though: a killed call costs at most its worst case
    open_draws = world.count("select count(*) from penstock.quota_draws where settled is null")
    assert open_draws <= 2 * 2 * len(killed)
    assert world.ask("select distinct state from penstock.runs where state not in ('completed', 'scheduled')") == []
    assert world.count("select count(*) from penstock.runs where wait_reason is distinct from 'quota'"
                       " and state = 'scheduled'") == 0  # fmt: skip


def test_nothing_is_paid_for_twice_but_what_died_on_the_way(world: World, chance: random.Random, turn: int) -> None:
    world.prepare(UNITS, LANES)
    vendor = Vendor(world, limit=1_000_000, cap=10_000)
    killed = vendor.harass(chance, 10)
    assert killed
    assert world.start(**vendor.settings).ended() == 0
    assert world.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", UNITS)]
    bills = Counter((bill.unit, bill.section) for bill in vendor.bills())
    assert set(bills) == {(unit, section) for unit in range(UNITS) for section in range(SECTIONS)}
    assert sum(count - 1 for count in bills.values()) <= 2 * len(killed)
    assert sum(bill.cents for bill in vendor.bills()) <= vendor.used()
    assert world.ask("select * from penstock.run_costs") == []
    assert world.ask("select * from penstock.quota_windows where reserved <> 0") == []
    world.assert_nothing_left()


def test_a_run_passes_its_cap_neither_alive_nor_killed(world: World, chance: random.Random, turn: int) -> None:
    """Five sections at 30 cents worst case do not fit into 100: each run ends at its cap, whoever carries it."""
    world.prepare(UNITS // 2, LANES)
    vendor = Vendor(world, limit=1_000_000, cap=100)
    vendor.harass(chance, 4, processes=4, statuses=(0, 1))  # 1: a run failed at its cap
    vendor.start().ended()
    by_run: Counter[str] = Counter()
    for bill in vendor.bills():
        by_run[bill.run] += bill.cents
    assert max(by_run.values()) <= 100
    windows = world.ask(
        "select w.used::int from penstock.quota_windows w join penstock.quotas q using (quota_id)"
        " where q.name = 'cents_a_run'"
    )
    assert windows
    assert max(used for (used,) in windows) <= 100
    states = dict(world.ask("select state, count(*)::int from penstock.runs group by 1"))
    assert set(states) <= {"completed", "failed"}
    classes = world.ask("select distinct error_class from penstock.runs where state = 'failed'")
    assert classes in ([], [("rejected",)])
    world.assert_nothing_left()


def test_the_book_is_kept_by_name(tmp_path: Path) -> None:
    """The vendor's file is appended to in whole lines, also by many at once: else the tests above prove nothing."""
    path = tmp_path / "book"
    pids: list[int] = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            book = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for number in range(500):
                os.write(book, f"{os.getpid()} {number} {'x' * 40}\n".encode())
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    lines = path.read_text().splitlines()
    assert len(lines) == 2_000
    assert all(len(line.split()) == 3 for line in lines)
