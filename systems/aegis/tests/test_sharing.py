"""Two machines on one ledger: both make reports, each report is made once, and no bank is in two hands."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from aegis.samples import write_samples
from systems.aegis.tests.commands import Commands

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ON_A_MACHINE = """
import runpy, socket, sys
machine, script, *arguments = sys.argv[1:]
socket.gethostname = lambda: machine
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""
# While it is locked nobody can record a report: so both machines have banks in hand before the first report is done.
GATE = """
create function hold() returns trigger language plpgsql as
  'begin perform pg_advisory_xact_lock_shared(4711); return new; end';
create trigger hold before insert on aegis_reports for each row execute function hold();
"""
HELD = """
select count(distinct p.host), count(*) from penstock.v1_lanes l join penstock.v1_processes p using (process)
"""
OVERLAPS = """
select a.number, b.number from penstock.v1_runs a join penstock.v1_runs b
  on a.lane = b.lane and a.number < b.number
where tstzrange(a.started_at, a.finished_at) && tstzrange(b.started_at, b.finished_at)
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def commands(tmp_path: Path, database_url: str) -> Commands:
    """An installation with all sample transcripts."""
    commands = Commands(database_url, tmp_path)
    write_samples(tmp_path / "calls")
    commands.ingest(tmp_path / "calls")
    return commands


@contextmanager
def locked(commands: Commands) -> Generator[None]:
    with psycopg.connect(commands.url) as connection:
        connection.execute("select pg_advisory_lock(4711)")
        yield


def start(commands: Commands, machine: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ON_A_MACHINE, machine, str(commands.script), *arguments],
        cwd=commands.folder, env=commands.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8",
    )  # fmt: skip


def test_two_machines_share_the_banks(commands: Commands) -> None:
    commands.execute(GATE)
    machines = ("east", "west")
    with locked(commands):
        # As two crontabs do: each with its own lock file, or with none.
        programs = [start(commands, machine, "--no-lock", "--max-parallel", "2") for machine in machines]
        try:
            until(lambda: commands.rows(HELD) == [(2, 4)], "both machines have two banks each")
        except BaseException:
            for program in programs:
                program.kill()
            raise
    told = [program.communicate(timeout=120)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0], told

    assert commands.rows("select count(*) from aegis_reports") == [(56,)]
    assert commands.rows("select state, count(*) from penstock.v1_runs group by 1") == [("completed", 56)]
    assert commands.rows("select key from penstock.v1_run_units group by key having count(*) > 1") == []
    assert commands.rows("select count(*) from penstock.v1_attempts where attempt > 1 or state <> 'done'") == [(0,)]
    assert commands.rows(OVERLAPS) == []
    shares = dict(
        commands.rows(
            "select split_part(p.host, '/', 1), count(*) from penstock.v1_runs r join penstock.v1_processes p"
            " on p.process = r.process group by 1"
        )
    )
    assert shares.keys() == set(machines)
    assert min(shares.values()) >= 2
    assert sum(shares.values()) == 56
