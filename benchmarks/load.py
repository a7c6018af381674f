"""A plan of a million units applied and run: is memory flat, is the rate, how large is the ledger; and a prune of it.

`python -m benchmarks.load URL FIRST RUNS` is the process that does the work: it prints a line of JSON for each tenth.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

import penstock as ps
from benchmarks.figures import Figure
from benchmarks.server import database, server_seconds
from penstock.ledger.prune import prune

RUNS, QUICK = 1_000_000, 20_000
LANES, AT_ONCE, PARTS = 1_000, 64, 10
FLAT = 1.3
SIZES = """
select c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid), coalesce(s.n_dead_tup, 0)
from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
where c.relnamespace = 'penstock'::regnamespace and c.relkind = 'r' order by 1
"""
OF_RUNS = ("runs", "run_units", "attempts")
KEPT = ("runs", "run_units", "attempts", "units")
"""What grows with the runs; the others hold what is live."""


class Number(NamedTuple):
    lane: int
    n: int


@dataclass(frozen=True)
class Mark:
    """After so many runs: seconds since the first began, memory of the process, processor time, and sizes of tables."""

    runs: int
    seconds: float
    memory: int
    python: float
    server: float
    sizes: dict[str, tuple[int, int, int]]


def measure(server: str, *, quick: bool, runs: int | None = None) -> list[Figure]:
    """Three no-op steps a run, 64 runs at once, a thousand lanes; then more of them while the first are pruned."""
    count = runs or (QUICK if quick else RUNS)
    more = max(count // 10, PARTS)
    with database(server) as url:
        facts, marks = _worked(url, 1, count)
        _tell(marks)
        figures = _of_work(facts, marks, count)
        with _pruning(url) as pruned:
            _, beside = _worked(url, count + 1, more)
        rate, least = _rate(beside[0], beside[-1]), _rate(marks[-2], marks[-1])
        figures += [
            _figure("prune: runs", pruned["runs"], ""),
            _figure("prune: time", pruned["seconds"], "s"),
            _figure("prune: rate", pruned["runs"] / pruned["seconds"], "runs/s"),
            _figure("prune: rows", pruned["rows"] / pruned["seconds"], "rows/s"),
            _figure("rate of work beside the prune / without it", rate / least, "×"),
        ]
        with psycopg.connect(url, autocommit=True) as connection:
            begun = time.perf_counter()
            connection.execute("vacuum (analyze)")
            figures.append(_figure("vacuum after the prune", time.perf_counter() - begun, "s"))
        # What comes next goes where the pruned runs were.
        before, (_, again) = _sizes(url), _worked(url, count + more + 1, more)
        grown = sum(_bytes(again[-1].sizes, table) - _bytes(before, table) for table in OF_RUNS)
        figures += [
            _figure(
                "tables of runs before the prune", sum(_bytes(marks[-1].sizes, name) for name in OF_RUNS) / 1e6, "MB"
            ),
            _figure(f"growth of these by {more:,} runs after it", grown / 1e6, "MB"),
        ]
    return figures


def _of_work(facts: dict[str, float], marks: list[Mark], count: int) -> list[Figure]:
    first, last = (marks[0], marks[1]), (marks[-2], marks[-1])
    part = marks[1].runs - marks[0].runs
    figures = [
        _figure(f"{count:,} units: plan, stored", facts["plan"], "s"),
        _figure("apply, to the first run", facts["apply"], "s"),
        _figure("run", marks[-1].seconds, "s"),
        _figure("rate", _rate(marks[0], marks[-1]), "runs/s"),
        _figure(f"rate of the first {part:,}", _rate(*first), "runs/s"),
        _figure(f"rate of the last {part:,}", _rate(*last), "runs/s"),
        _figure("first rate / last rate", _rate(*first) / _rate(*last), "×", FLAT),
        _figure("processor time of python a run, first", _each(first, "python"), "µs"),
        _figure("processor time of python a run, last", _each(last, "python"), "µs"),
        _figure("processor time of the server a run, first", _each(first, "server"), "µs"),
        _figure("processor time of the server a run, last", _each(last, "server"), "µs"),
        _figure("memory of the process after a tenth", marks[1].memory / 1e6, "MB"),
        _figure("memory of the process at the end", marks[-1].memory / 1e6, "MB"),
        _figure("memory at the end / after a tenth", marks[-1].memory / marks[1].memory, "×", 1.1),
    ]
    end = marks[-1].sizes
    figures.append(_figure("the ledger a run", sum(map(sum, _table_sizes(end).values())) / count, "bytes"))
    figures += [_figure(f"of it {table}", _bytes(end, table) / count, "bytes") for table in KEPT]
    for table in ("active", "lanes", "plan_items"):
        most = max(_bytes(mark.sizes, table) for mark in marks)
        figures.append(_figure(f"{table}, at most", most / 1e6, "MB"))
    return figures


def _worked(url: str, first: int, runs: int) -> tuple[dict[str, float], list[Mark]]:
    """Let a process of its own do it, and look at the database at each of its marks."""
    command = [sys.executable, "-m", "benchmarks.load", url, str(first), str(runs)]
    facts: dict[str, float] = {}
    marks: list[Mark] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if "plan" in told:
                facts = told
                continue
            marks.append(Mark(**told, server=server_seconds(url) or 0.0, sizes=_sizes(url)))
            print(f"{told['runs']:>9,} runs {told['seconds']:8.1f} s {told['memory'] / 1e6:7.1f} MB", flush=True)
    if process.returncode or len(marks) != PARTS + 1:
        raise RuntimeError(f"the work stopped after {len(marks)} marks with status {process.returncode}")
    return facts, marks


class _pruning:  # noqa: N801 - reads as what it does
    """Prune all that is over, in a thread, for as long as the block lasts or longer."""

    def __init__(self, url: str) -> None:
        self._url, self._thread = url, threading.Thread(target=self._prune)
        self._told: dict[str, float] = {}

    def __enter__(self) -> dict[str, float]:
        self._thread.start()
        return self._told

    def __exit__(self, *exc: object) -> None:
        self._thread.join()

    def _prune(self) -> None:
        begun = time.perf_counter()
        done = prune(self._url, timedelta(0))
        self._told.update(runs=done.runs, rows=done.rows, seconds=time.perf_counter() - begun)


async def work(url: str, first: int, runs: int) -> None:
    """Plan, apply and carry out, and print what it took: a line when it is planned, and one for each tenth."""
    wanted = f"select mod(i, {LANES}) as lane, i as n from generate_series({first}, {first + runs - 1}) i"
    noop = ps.Pipeline("noop", Number, lane="lane", gaps=ps.SqlGaps(wanted))
    done, begun, planned = 0, 0.0, 0.0
    facts: dict[str, float] = {}

    @noop.step
    async def a(_: Number) -> None:
        nonlocal begun
        if not begun:
            begun = time.perf_counter()
            _print({**facts, "apply": begun - planned})
            mark()

    @noop.step(after=a)
    async def b(_: Number) -> None: ...

    @noop.step(after=b)
    async def c(_: Number) -> None:
        nonlocal done
        done += 1
        if done % (runs // PARTS) == 0 and done <= runs // PARTS * PARTS:
            mark()

    def mark() -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        _print(
            {"runs": done, "seconds": time.perf_counter() - begun, "memory": resident, "python": time.process_time()}
        )

    with tempfile.TemporaryDirectory() as home:
        os.environ.update(PENSTOCK_DATABASE_URL=url, PENSTOCK_HOME=home, PENSTOCK_LOG_LEVEL="WARNING")
        async with ps.App("load", [noop]).client() as client:
            asked = time.perf_counter()
            plan = await client.plan(noop)
            planned = time.perf_counter()
            facts["plan"] = planned - asked
            summary = await client.apply(plan, lanes=AT_ONCE)
    if summary.counts != {"completed": runs}:
        raise RuntimeError(f"the plan of {runs} came to {dict(summary.counts)}")


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _sizes(url: str) -> dict[str, tuple[int, int, int]]:
    with psycopg.connect(url) as connection:
        return {name: (heap, indexes, dead) for name, heap, indexes, dead in connection.execute(SIZES.encode())}


def _table_sizes(sizes: dict[str, tuple[int, int, int]]) -> dict[str, tuple[int, int]]:
    return {name: (heap, indexes) for name, (heap, indexes, _) in sizes.items()}


def _bytes(sizes: dict[str, tuple[int, int, int]], table: str) -> int:
    heap, indexes, _ = sizes[table]
    return heap + indexes


def _rate(first: Mark, last: Mark) -> float:
    return (last.runs - first.runs) / (last.seconds - first.seconds)


def _each(part: tuple[Mark, Mark], name: str) -> float:
    """Microseconds a run."""
    first, last = part
    return float(getattr(last, name) - getattr(first, name)) / (last.runs - first.runs) * 1e6


def _figure(what: str, value: float, unit: str, aim: float | None = None) -> Figure:
    return Figure("load", what, value, unit, aim)


def _tell(marks: list[Mark]) -> None:
    """How the tables grew."""
    names = [name for name in marks[-1].sizes if _bytes(marks[-1].sizes, name) > 1e6]
    for mark in _some(marks):
        sizes = ", ".join(
            f"{name} {heap / 1e6:.0f}+{indexes / 1e6:.0f} MB, {dead:,} dead"
            for name, (heap, indexes, dead) in mark.sizes.items()
            if name in names
        )
        print(f"after {mark.runs:,}: {sizes}", flush=True)


def _some(marks: list[Mark]) -> Iterator[Mark]:
    yield from (marks[0], marks[1], marks[len(marks) // 2], marks[-1])


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
