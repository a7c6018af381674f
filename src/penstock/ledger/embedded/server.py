"""The embedded server as the rest of Penstock sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from penstock.ledger.embedded.keeper.places import Places
from penstock.ledger.embedded.launch import connect
from penstock.ledger.embedded.membership import hold, release
from penstock.model.errors import SettingError

GRACE_SECONDS = 2.0
START_SECONDS = 60.0
_STATUS_SECONDS = 5.0


class ServerStatus(NamedTuple):
    """What runs in a folder, for ``penstock doctor``."""

    state: str  # "starting", "ready" or "failed"
    keeper_pid: int | None
    server_pid: int | None  # None until the server is ready
    version: str | None  # of PostgreSQL, such as "18.4"
    socket_dir: Path
    clients: int  # processes that have joined, this one included if it has
    log: Path


class EmbeddedServer:
    """A PostgreSQL of Penstock's own in ``folder``, shared with every other process that names the same folder.

    The folder is made if need be and holds nothing else. Usable from any thread and before any event loop; all
    objects for one folder share one membership. In a forked child the object goes on working: the child becomes a
    client of its own.
    """

    def __init__(self, folder: Path, *, grace: float | None = None, timeout: float = START_SECONDS) -> None:
        """``grace``: seconds that the server outlives its last client (default 2, or PENSTOCK_EMBEDDED_GRACE).

        ``timeout``: seconds that `start` waits. Raises ``SettingError`` if PENSTOCK_EMBEDDED_GRACE is no number.
        """
        self._folder = Path(folder).expanduser().resolve()
        self._grace = _grace_from_environment() if grace is None else grace
        self._timeout = timeout
        self._info: dict[str, Any] = {}

    @property
    def folder(self) -> Path:
        """The server's folder, resolved."""
        return self._folder

    @property
    def notice(self) -> str:
        """One line for the user that says what is used and where; complete once `start` has returned."""
        version = self._info.get("version")
        name = f"embedded PostgreSQL {version}" if version else "embedded PostgreSQL"
        uid = self._info.get("uid")
        who = f", running as uid {uid}" if uid is not None else ""
        return f"PENSTOCK_DATABASE_URL is not set: using an {name} in {self._folder}{who}"

    def start(self) -> str:
        """Join the server, starting it if nobody has, and return its libpq URL when it takes connections.

        The URL stays the same however often the server is killed and comes back. Calling it again is cheap and
        waits, if the server is just coming back, until it is. Raises ``SettingError`` if the server cannot be
        started (the message names what to do) and ``LedgerUnavailable`` if it is not ready in time.
        """
        membership = hold(self._folder, self._grace, id(self))
        try:
            self._info = membership.ready(self._timeout)
        except BaseException:
            # Also on Ctrl-C while waiting: what was not handed out must not be held.
            release(self._folder, id(self))
            raise
        return str(self._info["url"])

    def stop(self) -> None:
        """Need the server no more. It ends after the grace if no other process and no other object needs it."""
        release(self._folder, id(self))


def running(folder: Path) -> ServerStatus | None:
    """Tell what runs in ``folder`` without joining or starting it; None if nothing does."""
    places = Places(Path(folder).expanduser().resolve())
    connection = connect(places)
    if connection is None:
        return None
    with connection, connection.makefile("r", encoding="utf-8") as lines:
        connection.settimeout(_STATUS_SECONDS)
        try:
            connection.sendall(b"status\n")
            line = lines.readline()
        except OSError:
            return None  # it ended, or hangs, while we asked
    if not line:
        return None
    said: dict[str, Any] = json.loads(line)
    return ServerStatus(
        state=said["state"],
        keeper_pid=said.get("keeper_pid"),
        server_pid=said.get("server_pid"),
        version=said.get("version"),
        socket_dir=Path(said["socket_dir"]),
        clients=said["clients"],
        log=places.log,
    )


def _grace_from_environment() -> float:
    text = os.environ.get("PENSTOCK_EMBEDDED_GRACE")
    if not text:
        return GRACE_SECONDS
    try:
        return max(0.0, float(text))
    except ValueError as error:
        message = f"PENSTOCK_EMBEDDED_GRACE is {text!r}; it takes a number of seconds such as 2 or 0.5"
        raise SettingError(message) from error
