"""This process's membership in the circle of a server's clients, kept up by one daemon thread."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.ledger.embedded.keeper.places import Places
from penstock.ledger.embedded.launch import connect, prepare_folder, start_keeper
from penstock.model.errors import LedgerUnavailable, SettingError

if TYPE_CHECKING:
    import socket

_RETRY_SECONDS = 0.03
_LONGEST_RETRY_SECONDS = 5.0
_MOST_SILENT_ENDS = 20

# Held while descriptors exist that a forked child could not know of; forks wait for it (see the end of the file).
_fork_guard = threading.Lock()


class Membership:
    """Holds one connection to the keeper open and joins again, starting a new keeper if need be, when it closes."""

    def __init__(self, folder: Path, grace: float) -> None:
        """``folder`` is the server's resolved folder; ``grace`` (seconds) goes to a keeper that we start."""
        self.places = Places(folder)
        self.holders: set[int] = set()
        self._grace = grace
        self._socket_dir: Path | None = None
        self._info: dict[str, Any] = {"state": "starting"}
        self._changed = threading.Condition()
        self._connection: socket.socket | None = None
        self._left = False
        self._thread = threading.Thread(target=self._keep, name="penstock-embedded", daemon=True)

    def join(self) -> None:
        """Begin, in the background."""
        self._thread.start()

    def ready(self, timeout: float) -> dict[str, Any]:
        """Wait until the server takes connections and return what the keeper says of it.

        Raises ``SettingError`` if it cannot be started and ``LedgerUnavailable`` after ``timeout`` seconds.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while self._info["state"] != "ready":
                if self._info["state"] == "failed":
                    raise SettingError(self._info["message"])
                left = end - time.monotonic()
                if left <= 0 or self._left:
                    message = (
                        f"The embedded PostgreSQL in {self.places.folder} was not ready within {timeout:g} seconds. "
                        f"Read {self.places.log}, then try again or set PENSTOCK_DATABASE_URL."
                    )
                    raise LedgerUnavailable(message)
                self._changed.wait(left)
            return self._info

    def ended(self) -> bool:
        """Tell whether it has given up, so that a new membership must be made to try again."""
        return not self._thread.is_alive()

    def leave(self) -> None:
        """Close the connection; the keeper ends the server if nobody else needs it."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
            if self._connection is not None:
                self._hang_up(self._connection)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def continue_after_fork(self) -> None:
        """Join anew in a forked child: the parent's connection is the parent's, and its thread is not here."""
        if self._connection is not None:
            # Only this process's descriptor; the parent's connection stays. (A socket's close() would wait for the
            # reader that the parent's thread has made of it.)
            os.close(self._connection.detach())
            self._connection = None
        self._changed = threading.Condition()
        if not self._left:
            self._thread = threading.Thread(target=self._keep, name="penstock-embedded", daemon=True)
            self._thread.start()

    @staticmethod
    def _hang_up(connection: socket.socket) -> None:
        try:
            connection.shutdown(2)
        except OSError:
            return  # the other side was first

    def _keep(self) -> None:
        """Be a member until `leave`. The thread's body."""
        silent, pause = 0, _RETRY_SECONDS
        while not self._left:
            try:
                heard = self._belong()
            except SettingError as error:
                self._publish({"state": "failed", "message": str(error)})
                heard = True
            except OSError as error:
                self._publish({"state": "failed", "message": f"The embedded PostgreSQL cannot be started: {error}"})
                heard = True
            silent = 0 if heard else silent + 1
            if silent > _MOST_SILENT_ENDS:
                message = f"The embedded PostgreSQL's keeper ends at once; read {self.places.log}."
                self._publish({"state": "failed", "message": message})
            failed = self._info["state"] == "failed"
            if failed and self._socket_dir is None:
                return  # never worked: whoever waits in `ready` raises, and may try again
            # It worked before, so somebody holds the URL: go on trying, ever more slowly.
            pause = min(_LONGEST_RETRY_SECONDS, pause * 2) if failed else _RETRY_SECONDS
            with self._changed:
                if not self._left:
                    # Many clients lose a killed keeper at the same moment; the spread saves useless starts.
                    self._changed.wait(pause * random.uniform(0.2, 1.0))  # noqa: S311 - no secret

    def _belong(self) -> bool:
        """Join once and listen until the connection ends; False if the keeper ended without a word."""
        connection = self._reach()
        heard = False
        with connection, connection.makefile("r", encoding="utf-8") as lines:
            try:
                for line in lines:
                    heard = True
                    self._publish(json.loads(line))
            except ConnectionError:
                pass  # the keeper was killed: the same as an end
            finally:
                with _fork_guard, self._changed:
                    self._connection = None
                if self._info["state"] != "failed":
                    self._publish({"state": "starting"})
        return heard

    def _reach(self) -> socket.socket:
        """Return a connection to a keeper that counts us as its client."""
        prepare_folder(self.places)
        with _fork_guard:
            connection = connect(self.places)
            if connection is not None:
                self._register(connection)
                self._say_join(connection)
                return connection
            process = start_keeper(self.places, self._grace, self._socket_dir, self._register)
            started = self._connection
        process.wait()
        assert started is not None  # noqa: S101 - registered by start_keeper
        return started

    def _register(self, connection: socket.socket) -> None:
        with self._changed:
            self._connection = connection
            if self._left:
                self._hang_up(connection)

    @staticmethod
    def _say_join(connection: socket.socket) -> None:
        try:
            connection.sendall(b"join\n")
        except ConnectionError:
            return  # it has just ended; reading tells so

    def _publish(self, info: dict[str, Any]) -> None:
        with self._changed:
            self._info = info
            if info["state"] == "ready":
                self._socket_dir = Path(info["socket_dir"])
            self._changed.notify_all()


_memberships: dict[Path, Membership] = {}
_registry = threading.Lock()


def hold(folder: Path, grace: float, holder: int) -> Membership:
    """Return this process's one membership for ``folder``, joined if it was not, and note who needs it."""
    with _registry:
        membership = _memberships.get(folder)
        if membership is None or membership.ended():
            holders = membership.holders if membership is not None else set[int]()
            if membership is not None:
                membership.leave()
            membership = Membership(folder, grace)
            membership.holders = holders
            _memberships[folder] = membership
            membership.join()
        membership.holders.add(holder)
        return membership


def release(folder: Path, holder: int) -> None:
    """Note that ``holder`` needs ``folder`` no more; the last one leaves."""
    with _registry:
        membership = _memberships.get(folder)
        if membership is None:
            return
        membership.holders.discard(holder)
        if membership.holders:
            return
        del _memberships[folder]
    membership.leave()


def _after_fork() -> None:
    global _registry  # noqa: PLW0603 - another thread of the parent may have held it; that thread is not here
    _registry = threading.Lock()
    _fork_guard.release()
    for membership in _memberships.values():
        membership.continue_after_fork()


os.register_at_fork(before=_fork_guard.acquire, after_in_parent=_fork_guard.release, after_in_child=_after_fork)
