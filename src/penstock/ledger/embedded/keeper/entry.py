"""Where the keeper process begins: detach, take the lock, keep."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import select
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .linux import adopt_orphans
from .loop import Keeper, Order
from .places import KEEPER_SOCKET, Places, read_record

if TYPE_CHECKING:
    from types import FrameType

_LOCK_WAIT_SECONDS = 60.0
_LOCK_PAUSE_SECONDS = 0.02


def _answers(places: Places) -> bool:
    """Tell whether another keeper takes clients already."""
    record = read_record(places)
    if record is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(record.socket_dir / KEEPER_SOCKET))
        except OSError:
            return False
    return True


def _lock(places: Places, channel: socket.socket) -> int | None:
    """Take the folder's lock; None if another keeper serves, or if the client that started us is gone."""
    handle = os.open(places.lock, os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + _LOCK_WAIT_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Held by one that starts (it will answer), serves (it answers) or ends (the lock comes free).
            if _answers(places):
                return None
            if select.select([channel], [], [], _LOCK_PAUSE_SECONDS)[0]:
                return None
        else:
            return handle
    return None


def _become_owner(folder: Path) -> None:
    """As root in a user's folder, be that user: the server is then theirs, and they can use it as before."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    os.fchown(2, owner.st_uid, owner.st_gid)
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([])  # a uid without a name is in no group
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)


def main(text: str) -> None:
    """Run the keeper. ``text`` is a JSON object: folder, package, grace, socket_dir and channel (a descriptor)."""
    if os.fork():
        os._exit(0)  # the client collects this one; the child belongs to init and is nobody's zombie
    request: dict[str, Any] = json.loads(text)
    os.umask(0o077)
    places = Places(Path(request["folder"]))
    _become_owner(places.folder)
    os.chdir(places.folder)
    channel = socket.socket(fileno=request["channel"])
    channel.set_inheritable(False)
    lock = _lock(places, channel)
    if lock is None:
        return
    adopt_orphans()
    socket_dir = Path(request["socket_dir"]) if request["socket_dir"] else None
    keeper = Keeper(Order(places, Path(request["package"]), float(request["grace"]), socket_dir), lock, channel)

    def wake(_number: int, _frame: FrameType | None) -> None:
        """Do nothing: the arrival of the signal has woken the loop."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        keeper.ask_to_stop()

    # The client may have blocked or ignored signals; what we need must come through, in every child too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, wake)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    keeper.run()
