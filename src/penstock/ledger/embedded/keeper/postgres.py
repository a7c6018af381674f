"""The running server: how it is started, when it is ready, how it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster import environment, in_identity
from .places import DATABASE, PORT

if TYPE_CHECKING:
    from .cluster import Install
    from .identity import Identity
    from .places import Places

_MEGABYTE = 1024 * 1024
_ASYNC_IO_SINCE = 18
_STATUS_LINE = 7  # of postmaster.pid, counted from 0: "starting", "ready", "stopping"
_FAST_SECONDS = 20.0
_IMMEDIATE_SECONDS = 6.0


def _memory() -> int:
    """Return the bytes of memory that this machine or container has."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _settings(install: Install, socket_dir: Path) -> dict[str, str]:
    buffers = max(16, min(256, _memory() // 8 // _MEGABYTE))
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{buffers}MB",
        # What is reported as written is written: Penstock's promises rest on it.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "autovacuum_naptime": "10s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        # With the keeper's restart below; after a crash of one backend the server heals itself.
        "restart_after_crash": "on",
    }
    if install.major >= _ASYNC_IO_SINCE:
        settings["io_method"] = "sync"  # saves three worker processes that a small server does not need
    return settings


class Postgres:
    """One postmaster, child of the keeper. A new object is made for each start."""

    def __init__(self, places: Places, install: Install, identity: Identity, socket_dir: Path, log: int) -> None:
        """Start the server on a clean data directory; ``log`` is a file descriptor opened for appending.

        If the keeper dies, the kernel sends SIGQUIT (immediate shutdown): commits are safe and it is quick, so that
        the next keeper can start at once.
        """
        self._pid_file = places.data / "postmaster.pid"
        argv = [str(install.postgres), "-D", str(places.data)]
        for name, value in _settings(install, socket_dir).items():
            argv += ["-c", f"{name}={value}"]
        self.process = subprocess.Popen(  # noqa: S603 - the package's own binary
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=places.folder,
            env=environment(),
            start_new_session=True,
            preexec_fn=in_identity(identity, signal.SIGQUIT),  # noqa: PLW1509 - this process has one thread
        )

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.process.pid

    def alive(self) -> bool:
        """Tell whether the postmaster still runs, and collect it if not."""
        return self.process.poll() is None

    def ready(self) -> bool:
        """Tell whether connections are accepted, by the same file that ``pg_ctl -w`` reads."""
        try:
            lines = self._pid_file.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"

    def stop(self) -> None:
        """End the server: a fast shutdown, then an immediate one, then by force. Blocks up to about 30 seconds."""
        for number, patience in ((signal.SIGINT, _FAST_SECONDS), (signal.SIGQUIT, _IMMEDIATE_SECONDS)):
            if not self.alive():
                return
            self.process.send_signal(number)
            end = time.monotonic() + patience
            while self.alive() and time.monotonic() < end:
                time.sleep(0.01)
        if self.alive():
            self.process.kill()
            self.process.wait()


def url(socket_dir: Path) -> str:
    """Return the libpq URL; the directory is of plain characters only, the port outdoes a PGPORT of the user's."""
    return f"postgresql://postgres@/{DATABASE}?host={socket_dir}&port={PORT}"
