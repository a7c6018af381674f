"""The live view: what it shows once, what it never does, and how it lives in a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from penstock.ledger.watching import Watch
from penstock.model.errors import LedgerUnavailable
from tests.acceptance.conftest import Cli
from tests.acceptance.test_cli_worker import GATED, until


@pytest.fixture
def busy(cli: Cli, database_url: str) -> Iterator[Cli]:
    """Four banks with a run each that does not end; two hundred units wait."""
    cli.write("gated.py", GATED.replace("series(1, 12)", "series(1, 204)"))
    cli.set("PENSTOCK_APP", "gated.py")
    run = cli.process("run", "--lanes", "4")
    with psycopg.connect(database_url, autocommit=True) as connection:
        held = "select count(*) from penstock.v1_attempts where state = 'open'"
        until(lambda: connection.execute(held).fetchone() == (4,), "four runs are under way")
    yield cli
    run.kill()
    run.communicate()


def test_what_goes_on_is_shown_once(busy: Cli) -> None:
    told = busy("top", "--once")
    assert told.status == 0
    assert "queued: 200 units of items in 4 lanes" in told.out
    for bank in ("B0", "B1", "B2", "B3"):
        assert f"\n{bank}" in told.out
    assert told.out.count("make") == 4
    shown = busy("top", "--json").json
    assert [(one["pipeline"], one["ended"], one["per_minute"]) for one in shown["pipelines"]] == [("items", 0, 0.0)]
    assert {(one["lane"], one["step"], one["attempt"], one["state"]) for one in shown["lanes"]} == {
        (f"B{n}", "make", 1, "running") for n in range(4)
    }
    assert [(one["queued"], one["lanes"]) for one in shown["queues"]] == [(200, 4)]
    assert [(one["runs"], one["state"]) for one in shown["processes"]] == [(4, "alive")]


def test_rates_and_failures_by_class(cli: Cli) -> None:
    cli("run")
    shown = cli("top", "--json").json
    (pipeline,) = shown["pipelines"]
    assert (pipeline["ended"], pipeline["failed"], pipeline["per_minute"]) == (6, 2, 6.0)
    (failures,) = shown["failures"]
    assert (failures["error_class"], failures["runs"]) == ("data", 2)
    assert failures["error"] == "no [transcript] data found"
    told = cli("top", "--once").out
    assert "no [transcript] data found" in told  # what users wrote is no markup
    assert "no lane is at work" in told


def test_quotas_of_all_apps_with_and_without_an_end(bare: Cli, database_url: str) -> None:
    bare.set("PENSTOCK_DATABASE_URL", database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into penstock.quotas (app, name, amount, per) values ('shop', 'usd', 2500, 'month'),"
            " ('shop', 'usd a run', 5, 'run')"
        )
    (lasting, passing) = sorted(bare("top", "--json").json["quotas"], key=lambda quota: quota["ends_at"] or "")
    assert (lasting["name"], lasting["starts_at"], lasting["ends_at"]) == ("usd a run", None, None)
    assert (passing["app"], passing["name"], passing["timezone"], float(passing["used"])) == ("shop", "usd", "UTC", 0.0)
    assert passing["starts_at"] < passing["ends_at"]
    told = bare("top", "--once").out
    assert "2,500 a month" in told
    assert "\nusd " in told
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into penstock.quotas (app, name, amount) values ('mill', 'calls', 3)")
    told = bare("top", "--once").out
    assert "\nshop usd " in told
    assert "\nmill calls " in told


def test_it_needs_no_app_and_can_write_nothing(bare: Cli, database_url: str) -> None:
    bare.set("PENSTOCK_DATABASE_URL", database_url)
    assert "nothing was planned here yet" in bare("top", "--once").out

    async def look() -> None:
        watch = Watch(database_url)
        await watch.frame()
        assert watch._connection is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await watch._connection.execute("delete from penstock.runs")
        await watch.close()

    asyncio.run(look())


def test_without_a_schema_it_says_what_to_do_and_makes_none(bare: Cli, empty_database_url: str) -> None:
    bare.set("PENSTOCK_DATABASE_URL", empty_database_url)
    told = bare("top", "--once")
    assert (told.status, told.out) == (2, "")
    assert told.err == "The ledger's schema is not the newest: penstock db upgrade.\n"
    assert bare("db", "status", "--json").json["revision"] is None
    bare.set("PENSTOCK_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/nowhere")
    told = bare("top", "--once")
    assert told.status == 1
    assert told.err.startswith("The database does not answer:")


async def test_a_cut_connection_is_made_anew(database_url: str) -> None:
    watch = Watch(database_url)
    await watch.frame()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'penstock top'"
        )
    with pytest.raises(LedgerUnavailable):
        await watch.frame()
    assert (await watch.frame()).pipelines == []
    await watch.close()


class Terminal:
    """A terminal with the view in it."""

    def __init__(self, cli: Cli, lines: int, columns: int) -> None:
        self._master, slave = pty.openpty()
        self.resize(lines, columns)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", "top", "--every", "0.2"],
            cwd=cli.folder, env={**os.environ, "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self._master, False)
        self.seen = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> str:
        try:
            self.seen += os.read(self._master, 1 << 16).decode(errors="replace")
        except (BlockingIOError, OSError):  # nothing new, or the other side has gone
            return self.seen
        return self.seen

    def until(self, text: str) -> None:
        """Until this is shown, from now on."""
        self.seen = ""
        deadline = time.monotonic() + 60
        while text not in self.read():
            assert time.monotonic() < deadline, self.seen[-3000:]
            time.sleep(0.02)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)


@contextmanager
def terminal(cli: Cli, lines: int, columns: int) -> Generator[Terminal]:
    view = Terminal(cli, lines, columns)
    try:
        yield view
    finally:
        view.close()


def test_in_a_terminal_it_follows_the_window_and_ends_with_control_c(
    busy: Cli, database_server: str, database_url: str
) -> None:
    with terminal(busy, 40, 120) as view:
        view.until("queued: 200 units of items in 4 lanes")
        view.until("B3")
        view.resize(14, 60)
        view.process.send_signal(signal.SIGWINCH)
        view.until("and 1 more lanes")
        name = str(conninfo_to_dict(database_url)["dbname"])
        with psycopg.connect(database_server, autocommit=True) as connection:
            connection.execute(f"alter database {name} with allow_connections false".encode())
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'penstock top' and datname = %s",
                (name,),
            )
            view.until("The database does not answer")
            connection.execute(f"alter database {name} with allow_connections true".encode())
        view.until("queued: 200 units")
        view.process.send_signal(signal.SIGINT)
        assert view.process.wait(timeout=30) == 0
        assert "Traceback" not in view.read()
