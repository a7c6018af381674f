"""A process's lease: renewed by a thread and a connection of its own, so that a busy event loop cannot lose it."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from penstock.ledger.link import answered_in_thread
from penstock.ledger.queries import load
from penstock.model.attempt import Instant, ProcessId

LEASE: Final = float(os.environ.get("PENSTOCK_LEASE_SECONDS", "30"))
RENEW: Final = LEASE / 6
MARGIN: Final = LEASE / 6
PATIENCE: Final = max(1.0, LEASE / 6)
ANSWER: Final = 2 * LEASE
"""Seconds: how long a lease holds, how often it is renewed, how long before its end handlers are cancelled; how long a
renewal, and a record, may go unanswered before it is tried on another connection.

PENSTOCK_LEASE_SECONDS is for tests, which have no 30 seconds; it is read once, and no setting of an app.
"""


class Lease:
    """Holds the lease of one process until it is closed or lost.

    Args:
        url: The ledger's database.
        process: The row that was inserted for this process.
        now: The ledger's time at about this moment.
        on_lost: Called once, from the thread, when the lease is over or cannot be renewed in time.
    """

    def __init__(self, url: str, process: ProcessId, now: float, on_lost: Callable[[], None]) -> None:
        self._url, self._process, self._on_lost = url, process, on_lost
        self._stop = threading.Event()
        self._lost = self._told = False
        self._renewed = time.monotonic()
        self._offset = now - time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="penstock-lease", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """The lease is over, or about to be; by our own clock, should the thread hang in a dead connection."""
        return self._lost or time.monotonic() > self._renewed + LEASE - MARGIN

    @property
    def silent(self) -> bool:
        """It is lost, and not because the database said so: its lines may be dead."""
        return self.lost and not self._told

    def now(self) -> Instant:
        """The ledger's time, as of the last renewal plus what has passed since."""
        return Instant(time.monotonic() + self._offset)

    def close(self) -> None:
        """Renew no more."""
        self._stop.set()
        self._thread.join(timeout=10)

    def abandon(self) -> None:
        """Let it run out, from any thread: this process is alive and cannot go on."""
        self._lost = True
        self._stop.set()

    def _loop(self) -> None:
        connection: psycopg.Connection[tuple[Any, ...]] | None = None
        row: tuple[Any, ...] | None
        try:
            while not self._stop.wait(RENEW if connection else min(RENEW, 0.5)):
                began = time.monotonic()
                try:
                    if connection is None or connection.closed:
                        connection = self._connect()
                    row = self._renew(connection)
                except psycopg.Error:
                    if connection is not None:
                        connection.close()
                    connection = None  # tried again below, as long as the lease holds by our own clock
                    row = ()
                if row is None:
                    self._told = True
                    self._lose()
                    return
                if row:
                    self._renewed, self._offset = began, row[0] - time.monotonic()
                elif self.lost:
                    self._lose()
                    return
        finally:
            if connection is not None:
                connection.close()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            self._url,
            connect_timeout=max(2, round(PATIENCE)),  # libpq takes 1 for 2
            prepare_threshold=None,
            row_factory=tuple_row,
            application_name="penstock lease",
        )

    def _renew(self, connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[Any, ...] | None:
        """No row: it is lost. Whether the server or the line is stuck, a new connection gets its chance in time."""
        with answered_in_thread(connection, PATIENCE), connection.transaction():
            # Not an option of the connection: poolers refuse those.
            connection.execute(f"set local statement_timeout = {round(PATIENCE * 1000)}".encode())
            return connection.execute(load("work")["renew"], {"process": self._process, "lease": LEASE}).fetchone()

    def _lose(self) -> None:
        self._lost = True
        if not self._stop.is_set():
            self._on_lost()


def host_name() -> str:
    """This machine and its process table: a process id means something only here."""
    boot, table = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    if boot.exists():
        parts.append(boot.read_text().strip()[:8])
    if table.is_symlink():
        parts.append(str(table.readlink()).strip("pid:[]"))
    return "/".join(parts)


def is_alive(pid: int, silent: float) -> bool:
    """Whether the process that last renewed its lease so many seconds ago still runs on this machine.

    Both are lengths of time: the database's clock and ours need not agree, nor go on evenly.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
        if fields[0] == "Z":
            return False
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return True  # no /proc: what os.kill said must do
    return age > silent - 2  # else the number was given to another process since
