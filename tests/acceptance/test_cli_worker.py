"""A process that helps with what others have planned."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import Cli

GATED = """
import asyncio
from pathlib import Path
from typing import NamedTuple
import penstock as ps

class Item(NamedTuple):
    n: int
    bank: str

items = ps.Pipeline("items", Item, key=("n",), lane="bank",
                    gaps=ps.SqlGaps("select n, 'B' || n % 4 as bank from generate_series(1, 12) n"))

@items.step
async def make(item: Item) -> None:
    while not Path("open").exists():
        await asyncio.sleep(0.02)
    if item.n == 12:
        raise ps.InvalidData("twelve")

app = ps.App("gated", [items])
"""


@pytest.fixture
def gated(cli: Cli) -> Cli:
    cli.write("gated.py", GATED)
    cli.set("PENSTOCK_APP", "gated.py")
    return cli


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_worker_helps_with_what_another_planned_and_stays(gated: Cli, database_url: str) -> None:
    worker = gated.process("worker", "--lanes", "3")
    until(lambda: ask(database_url, "select 1 from penstock.v1_processes"), "the worker is there")
    run = gated.process("run", "--lanes", "1")
    held = "select count(distinct process), count(*) from penstock.v1_lanes where process is not null"
    until(lambda: ask(database_url, held) == [(2, 4)], "both have lanes")
    gated.write("open", "")
    status, out, _ = ended(run)
    assert (status, "twelve" in out) == (1, True)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    status, out, err = ended(worker)
    assert status == 0, err
    assert "Working on items until it is stopped, 3 runs at once." in err
    mine = ask(database_url, "select process, count(*) from penstock.v1_runs group by 1 order by 1")
    assert sum(count for _, count in mine) == 12
    assert len(mine) == 2
    assert out.startswith(f"{mine[0][1]} runs ended here")
    assert ask(database_url, "select count(*) from penstock.active") == [(0,)]


def test_a_worker_may_end_when_nothing_is_left(gated: Cli) -> None:
    gated.write("open", "")
    assert gated("worker", "--until-done").out == "0 runs ended here.\n"
    assert gated("run", "n=12").status == 1
    failed = gated("runs", "list", "--json").json[0]["number"]
    gated("retry", str(failed), "--no-wait")
    told = gated("worker", "items", "--until-done", "--json")
    assert (told.status, told.json) == (1, {"ended": {"failed": 1}})
    assert "did you mean items?" in gated("worker", "item").err
