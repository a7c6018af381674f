"""One run at a time: an advisory lock on a file, which the kernel takes back from a process that dies.

The file stays where it is. That it exists means nothing; `cat` shows who holds it or held it last.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path


class LockError(RuntimeError):
    """The lock file cannot be used: the message says why and what to do."""


@contextmanager
def exclusive(path: Path, on_wait: Callable[[str], None]) -> Generator[None]:
    """Holds the lock while the block runs; waits for whoever holds it.

    Args:
        path: The lock file; made where missing, never removed.
        on_wait: Told once, with the file's contents on one line, when somebody else holds the lock.

    Raises:
        LockError: The file belongs to another user or cannot be opened.
    """
    descriptor = _acquire(path, on_wait)
    try:
        started = _now()
        _write(descriptor, f"PID: {os.getpid()}\nStarted: {started}\n")
        try:
            yield
        finally:
            _write(descriptor, f"PID: {os.getpid()}\nStarted: {started}\nFinished: {_now()}\n")
    finally:
        os.close(descriptor)


def _acquire(path: Path, on_wait: Callable[[str], None]) -> int:
    """The descriptor of the file that is locked and still at its path."""
    told = False
    while True:
        descriptor = _open(path)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    told = True
                    on_wait(", ".join(_contents(descriptor).split("\n")[:2]))
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # somebody removed or replaced the file while we waited: the lock is worth nothing


def _open(path: Path) -> int:
    try:
        # A link is refused: in /tmp anybody may place one that leads to a file of ours.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        owner = _owner(path)
        whose = f" It belongs to {owner}: run as that user." if owner and owner != _user(os.geteuid()) else ""
        if error.errno == errno.ELOOP:
            whose = " It is a link: remove it."
        msg = (
            f"The lock file {path} cannot be opened ({error.strerror}).{whose} "
            "Another file can be named by LOCK_FILE_PATH at the top of the script."
        )
        raise LockError(msg) from error
    if (owner_id := os.fstat(descriptor).st_uid) != os.geteuid():
        os.close(descriptor)
        msg = (
            f"The lock file {path} belongs to {_user(owner_id)}: run as that user, remove the file while nothing runs, "
            "or name another by LOCK_FILE_PATH at the top of the script."
        )
        raise LockError(msg)
    return descriptor


def _write(descriptor: int, text: str) -> None:
    """The whole contents at once, for people only: the lock itself does not depend on them."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _contents(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip()


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _owner(path: Path) -> str | None:
    try:
        return _user(path.lstat().st_uid)
    except OSError:
        return None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
