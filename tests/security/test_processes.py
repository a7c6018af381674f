"""What other users of the machine can see: lists of processes, sockets, folders."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.ledger.embedded import EmbeddedServer, running
from penstock.testing import database
from tests.security import cpu_work

SECRET = "seen-by-nobody-4711"
pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="reads /proc")


def command_lines() -> dict[int, bytes]:
    """Every process's words, as `ps` shows them to everybody."""
    found: dict[int, bytes] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = path.read_bytes()
        except OSError:  # it has ended
            continue
    return found


def test_the_embedded_server_shows_no_secret_and_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PENSTOCK_DATABASE_URL", "POSTGRES_PASSWORD", "PGPASSWORD", "SHOP_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    folder = tmp_path / "home" / "postgres"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)  # somebody made it beforehand, open to all
    before = os.umask(0)
    server = EmbeddedServer(folder, grace=0)
    try:
        server.start()
        status = running(folder)
        assert status is not None
        assert status.keeper_pid
        assert status.server_pid
        lines = command_lines()
        assert str(folder).encode() in lines[status.server_pid], "the control: these are the lines we look for"
        assert not [line for line in lines.values() if SECRET.encode() in line]
        for pid in (status.keeper_pid, status.server_pid):
            assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        assert (
            SECRET.encode()
            in subprocess.run(  # the control: a child that is given the environment has it
                [sys.executable, "-c", "print(open('/proc/self/environ').read())"], check=True, capture_output=True
            ).stdout
        )
        assert not folder.stat().st_mode & 0o022, "nobody else may put a file there"
        inside = [path for path in folder.iterdir() if not path.is_symlink()]
        assert {"data", "server.log", "keeper.json", "keeper.lock"} <= {path.name for path in inside}
        assert [path.name for path in inside if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
        assert stat.S_IMODE(status.socket_dir.stat().st_mode) & 0o077 == 0
    finally:
        os.umask(before)
        server.stop()


@pytest.mark.parametrize("raises", [False, True])
def test_worker_processes_show_no_secret(
    raises: bool,
    database_server: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    monkeypatch.setenv("WORKER_KEY", SECRET)
    with database(cpu_work.app) as db:
        summary = cpu_work.app.run(cpu_work.sums, units=[cpu_work.Sum(str(tmp_path), raises)])
        assert summary.counts == ({"failed": 1} if raises else {"completed": 1})
        assert SECRET not in str(db.rows("select attempts::text from penstock.attempts"))
    assert "spawn_main" in (tmp_path / "mine").read_text(), "the control: it was a process of its own"
    assert SECRET.encode() not in (tmp_path / "cmdlines").read_bytes()
    told = capfd.readouterr()
    assert SECRET not in told.out + told.err
    assert ("Odd: with *** of " in told.err) is raises
