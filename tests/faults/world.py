"""What the tests share: programs that can be killed, what their handlers said, and what must hold at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import psycopg

from penstock.ledger.migrate import upgrade

PROGRAM: Final = Path(__file__).parent / "programs" / "loading.py"
MORE: Final = int(os.environ.get("PENSTOCK_FAULTS", "1"))
"""How many times as many faults as CI has time for."""
PATIENCE: Final = 60.0
STEPS: Final = ("fetch", "compute", "load")

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, patience: float = PATIENCE) -> T:
    """Ask until the answer is true."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {patience:.0f} s"
        time.sleep(0.004)
    return answer


def whole_lines(path: Path) -> list[str]:
    """What others append to this file, but for a line that is seen while it is being written."""
    return path.read_text().rpartition("\n")[0].splitlines()


def race_to_upgrade(url: str, *, racers: int = 4) -> None:
    """Migrate by several at once; each of them finds the schema up to date afterwards."""
    faults: list[BaseException] = []

    def upgraded() -> None:
        try:
            assert upgrade(url).current
        except BaseException as error:  # noqa: BLE001 - told below, in the thread of the test
            faults.append(error)

    threads = [threading.Thread(target=upgraded) for _ in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not faults, faults
    assert not any(thread.is_alive() for thread in threads), "a migration goes on"


class Entry(NamedTuple):
    """A handler was entered."""

    at: float
    pid: int
    unit: int
    run: str
    step: str
    attempt: int


@dataclass
class Program:
    """One process of the program under attack."""

    process: subprocess.Popen[bytes]
    said: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """What it wrote so far."""
        return self.said.read_text()

    @property
    def killed(self) -> bool:
        """Whether it came to an end by SIGKILL."""
        return self.process.poll() == -signal.SIGKILL

    def kill(self) -> None:
        """As the kernel does it when memory is short."""
        self.process.kill()
        self.process.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, *, patience: float = PATIENCE) -> int:
        """Wait for its end and give its exit status."""
        try:
            return self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {patience:.0f} s; it wrote:\n{self.text}") from None


class World:
    """A database, the processes that were started on it, and the file that their handlers wrote."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.program = url, folder, PROGRAM
        self.programs: list[Program] = []
        self.environ: dict[str, str] = {}
        self.clocks_agree = True
        self.entries_file = folder / "entries"
        self.entries_file.touch()

    def prepare(self, units: int, lanes: int) -> None:
        """Migrate, and want so many units on so many lanes. Nothing in `loaded` is unique: what comes twice shows."""
        upgrade(self.url)
        with psycopg.connect(self.url) as connection:
            connection.execute("create table if not exists public.wanted (number int, lane text)")
            connection.execute(
                "create table if not exists public.loaded (number int, value int, run uuid, attempt int, pid int)"
            )
            connection.execute("create table if not exists public.big (number int, body bytea)")
            connection.execute("create table if not exists public.copied (number int, line int)")
        self.want(0, units, lanes)

    def want(self, first: int, units: int, lanes: int) -> None:
        """Want more."""
        self.ask(
            "insert into public.wanted select i, 'lane ' || i %% %s from generate_series(%s::int, %s::int) i",
            lanes, first, first + units - 1,
        )  # fmt: skip

    def start(self, **settings: str | float) -> Program:
        """Start the program; settings are the `FAULTS_*` and `PENSTOCK_*` of its environment."""
        names = {n if n.startswith("PENSTOCK_") else f"FAULTS_{n}": str(v) for n, v in settings.items()}
        environ = {
            "PENSTOCK_DATABASE_URL": self.url,
            "PENSTOCK_HOME": str(self.folder / "home"),
            "PENSTOCK_LANES": "8",
            "FAULTS_ENTRIES": str(self.entries_file),
            **names,
            **self.environ,
        }
        said = self.folder / f"program{len(self.programs)}.txt"
        with said.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, str(self.program)],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        program = Program(process, said)
        self.programs.append(program)
        return program

    def finish(self, *, patience: float = PATIENCE, **settings: str | float) -> Program:
        """Start the program and see it end well."""
        program = self.start(**settings)
        assert program.ended(patience=patience) == 0, program.text
        return program

    def end(self) -> None:
        """Nothing that was started here lives on."""
        for program in self.programs:
            if program.process.poll() is None:
                program.kill()

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement on a connection of its own."""
        with psycopg.connect(self.url, connect_timeout=5) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def count(self, query: str, *values: Any) -> int:
        """The one number that the query gives."""
        return int(self.ask(query, *values)[0][0])

    def entries(self) -> list[Entry]:
        """What handlers said so far, in order."""
        lines = (line.split() for line in whole_lines(self.entries_file))
        return [Entry(float(t), int(pid), int(unit), run, step, int(n)) for t, pid, unit, run, step, n in lines]

    def wait_for_entries(self, more: int, program: Program, *, own: bool = False) -> bool:
        """Until so many more handlers were entered (`own`: in all, by this program) or it ended; True if it runs."""
        have = 0 if own else len(self.entries())

        def enough() -> bool:
            entered = [e for e in self.entries() if not own or e.pid == program.pid]
            return len(entered) >= have + more or program.process.poll() is not None

        until(enough, f"{more} entries")
        return program.process.poll() is None

    def assert_complete(self, units: int) -> None:
        """Every unit was made once, nothing that was recorded ran again, and nothing is left behind."""
        assert self.ask("select state, count(*)::int from penstock.runs group by 1") == [("completed", units)]
        assert self.loads() == dict.fromkeys(range(units), 1)
        assert self.ask("select verdict, count(*)::int from penstock.units group by 1") == [("completed", units)]
        self.assert_nothing_ran_again()
        self.assert_nothing_left()

    def loads(self) -> dict[int, int]:
        """How many rows each unit has in the table without a key."""
        return dict(Counter(number for (number,) in self.ask("select number from public.loaded order by 1")))

    def assert_nothing_ran_again(self) -> None:
        """No handler was entered after its step was on record as done; a step is on record as done once."""
        done = self.ask(
            "select run::text, step, extract(epoch from finished_at)::float8 from penstock.v1_attempts"
            " where state = 'done'"
        )
        recorded = {(run, step): at for run, step, at in done}
        assert len(recorded) == len(done)
        if not self.clocks_agree:  # then the number of entries must do, and no process may have died
            assert max(Counter((e.run, e.step) for e in self.entries()).values()) == 1
            return
        again = [e for e in self.entries() if e.at > recorded.get((e.run, e.step), float("inf"))]
        assert not again, again
        entered = {(e.run, e.step) for e in self.entries()}
        assert entered >= set(recorded)

    def assert_nothing_left(self) -> None:
        """No unit, lane or attempt is held by anybody, dead or alive."""
        assert self.ask("select * from penstock.active") == []
        assert self.ask("select * from penstock.lanes where run_id is not null or process_id is not null") == []
        assert self.ask("select * from penstock.attempts where state = 'open'") == []
        here = "select pid from penstock.processes where ended_at is null and lost_at is null"
        # One that was killed while it held nothing is missed by nobody until somebody next looks around.
        assert {pid for (pid,) in self.ask(here)} <= {p.pid for p in self.programs if p.killed}

    def lost_processes(self) -> Sequence[int]:
        """The pids of those whose work was taken over."""
        return [pid for (pid,) in self.ask("select pid from penstock.processes where lost_at is not null")]
