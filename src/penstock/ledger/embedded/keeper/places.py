"""Where everything lies: the server's folder, and the private directory for its sockets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from .failure import StartupError

PORT = 5432
KEEPER_SOCKET = "keeper.sock"
SERVER_SOCKET = f".s.PGSQL.{PORT}"
DATABASE = "penstock"

# sockaddr_un holds 104 bytes on macOS and 108 on Linux, with a closing NUL.
_SOCKET_PATH_BYTES = 103
# libpq splits `host` at commas, and PostgreSQL its list of directories too; keep to what needs no quoting anywhere.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+-]*")


class Places(NamedTuple):
    """The parts of a server's folder. All of it is ours; nothing outside is touched but the socket directory."""

    folder: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def lock(self) -> Path:
        """The file whose flock makes a process the keeper."""
        return self.folder / "keeper.lock"

    @property
    def log(self) -> Path:
        """What the keeper and PostgreSQL have to say; kept small by the keeper."""
        return self.folder / "server.log"

    @property
    def record(self) -> Path:
        """Where clients read which socket directory is in use."""
        return self.folder / "keeper.json"


class Record(NamedTuple):
    """What a keeper leaves in its folder for clients and for the keeper after it."""

    socket_dir: Path
    uid: int  # the owner that the socket directory must have
    keeper_pid: int


def read_record(places: Places) -> Record | None:
    """Read the record; None if there is none or if a crash left it unreadable (the next keeper writes it anew)."""
    try:
        found = json.loads(places.record.read_text("utf-8"))
        return Record(Path(found["socket_dir"]), int(found["uid"]), int(found["keeper_pid"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_record(places: Places, record: Record) -> None:
    """Write the record in one step, so that a reader sees the old or the new one and never a half."""
    fresh = places.record.with_suffix(".new")
    text = json.dumps({"socket_dir": str(record.socket_dir), "uid": record.uid, "keeper_pid": record.keeper_pid})
    fresh.write_text(text, "utf-8")
    fresh.replace(places.record)


def fault_of(directory: Path, uid: int) -> str | None:
    """Say why ``directory`` is not a private directory of ``uid``, or None if it is one. A symlink is none."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        return "is not a directory"
    if found.st_uid != uid:
        return f"belongs to uid {found.st_uid}, not to uid {uid}"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def _candidates(places: Places, wanted: Path | None, *, dropped: bool) -> list[Path]:
    found = [places.folder / "run"]
    name = f"penstock-{os.geteuid()}-{hashlib.sha256(os.fsencode(places.folder)).hexdigest()[:12]}"
    # A server that runs as another uid cannot pass through our runtime directory, which is for us alone.
    ours = [] if dropped else [os.environ.get("XDG_RUNTIME_DIR")]
    bases = [*ours, os.environ.get("TMPDIR"), "/tmp"]  # noqa: S108 - owner, mode and kind are verified
    found += [Path(base) / name for base in bases if base]
    # Clients already hold a URL with the earlier directory: it goes first.
    return ([wanted] if wanted else []) + found


def make_socket_dir(places: Places, wanted: Path | None, owner: tuple[int, int]) -> Path:
    """Make (or take over) the private directory for the sockets and return it.

    ``wanted`` is the directory of an earlier keeper, if any; ``owner`` the uid and gid that PostgreSQL's files have.
    Raises ``StartupError`` if every place is too long, not writable or somebody else's.
    """
    faults: list[str] = []
    uid, gid = owner
    for directory in _candidates(places, wanted, dropped=uid != os.geteuid()):
        path = str(directory)
        if len(os.fsencode(directory / SERVER_SOCKET)) > _SOCKET_PATH_BYTES or not _PLAIN_PATH.fullmatch(path):
            faults.append(f"{path} cannot be used as a socket path")
            continue
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            fault = fault_of(directory, uid)
            if fault is not None and uid != os.geteuid():
                fault = fault_of(directory, os.geteuid())  # made by us, and a crash came before the chown
            if fault is not None:
                faults.append(f"{path} {fault}")
                continue
        except OSError as error:
            faults.append(f"{path}: {error.strerror}")
            continue
        if uid != os.geteuid():
            os.chown(directory, uid, gid)
        return directory
    message = f"No private directory for the database's sockets: {'; '.join(faults)}. Set TMPDIR to one of yours."
    raise StartupError(message)


def clear_socket_dir(directory: Path, *, remove: bool) -> None:
    """Delete the sockets and lock files in ``directory``, and with ``remove`` the directory too."""
    for name in (SERVER_SOCKET, f"{SERVER_SOCKET}.lock", KEEPER_SOCKET):
        (directory / name).unlink(missing_ok=True)
    if remove and directory.exists():
        directory.rmdir()
