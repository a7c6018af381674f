"""The few Linux system calls that Python 3.11 does not offer, through ctypes.

Everything here runs between fork and exec or in the single-threaded keeper; the library handle is made at import
so that a forked child never has to load anything.
"""

from __future__ import annotations

import ctypes
import os
import sys

LINUX = sys.platform.startswith("linux")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWUSER = 0x10000000

_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent(signal_number: int, parent_pid: int) -> None:
    """Have the kernel send ``signal_number`` to this process when its parent dies (no-op outside Linux).

    Must come after every change of user: the kernel forgets the setting when credentials change. ``parent_pid`` is
    the parent's process id as read before the fork; a parent that died in between ends this process at once.
    """
    if _libc is None:
        return
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, so that it can wait for them (no-op outside Linux)."""
    if _libc is not None:
        _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def enter_user_namespace(uid: int, gid: int) -> None:
    """Move this process to a new user namespace in which its user and group are called ``uid`` and ``gid``.

    Only the names change: files stay owned by the real user. Raises ``OSError`` where namespaces are refused.
    """
    if _libc is None:
        raise OSError(0, "user namespaces exist on Linux only")
    real_uid, real_gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    # The kernel takes a gid_map from an unprivileged process only after setgroups has been given up.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {real_uid} 1"),
        ("gid_map", f"{gid} {real_gid} 1"),
    ):
        target = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(target, text.encode())
        finally:
            os.close(target)
