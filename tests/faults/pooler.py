"""A real PgBouncer in front of a test's server, in transaction mode: each transaction has another server process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.faults.server import Server, free_port
from tests.faults.world import until

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
logfile = {folder}/pgbouncer.log
"""


class Pooler:
    """Starts with `start`, and may be killed.

    Args:
        server: What it stands in front of.
        folder: Where its settings and log are.
        size: How many server processes it has for a database.
    """

    def __init__(self, server: Server, folder: Path, size: int = 10) -> None:
        found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if found is None:
            reason = "needs pgbouncer (apt-get install pgbouncer)"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        self._command, self._folder, self._port = found, folder / "pooler", free_port()
        self._folder.mkdir(mode=0o777)
        self._folder.chmod(0o777)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == os.geteuid() != 0 or parent.stat().st_mode & 0o001:
                continue
            parent.chmod(parent.stat().st_mode | 0o001)  # root's folders of a test are for root alone
        text = SETTINGS.format(server=server.port, port=self._port, folder=self._folder, size=size)
        (self._folder / "pgbouncer.ini").write_text(text)
        self.url = server.url.replace(f":{server.port}/", f":{self._port}/")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """It takes connections when this returns."""
        as_whom = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [self._command, "-q", *as_whom, str(self._folder / "pgbouncer.ini")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "the pooler answers")

    def kill(self) -> None:
        """All lines through it break at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "pgbouncer.log").read_text()
        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False
