"""Finds and ends PostgreSQL processes that outlived their postmaster or their keeper.

A new postmaster must never meet an old backend on the same files, so nothing is started before this is through.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .linux import LINUX

if TYPE_CHECKING:
    from .identity import Identity

_SWEEP_SECONDS = 0.02
_PATIENCE_SECONDS = 6.0  # the postmaster itself kills hanging children 5 s after SIGQUIT


def _working_in(data: Path) -> list[int]:
    """List the processes that run a ``postgres`` binary with ``data`` as their working directory."""
    try:
        wanted = data.stat()
    except FileNotFoundError:
        return []
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            there = (entry / "cwd").stat()
            if (there.st_dev, there.st_ino) != (wanted.st_dev, wanted.st_ino):
                continue
            binary = (entry / "exe").readlink().name
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue  # ended meanwhile, a zombie, or somebody else's
        if binary.removesuffix(" (deleted)") == "postgres":
            found.append(int(entry.name))
    return found


def _postmaster(data: Path) -> int | None:
    """Return the process id in PostgreSQL's lock file, whether it lives or not."""
    try:
        return int((data / "postmaster.pid").read_text("utf-8", errors="replace").splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None  # none, or a crash left the file empty


def _sweep(data: Path, *, gently: bool) -> bool:
    """Signal every process left on ``data``; True if there was none."""
    left = _working_in(data)
    # Backends alone would never end by themselves if they are stopped or deep in a computation.
    number = signal.SIGQUIT if gently and _postmaster(data) in left else signal.SIGKILL
    for pid in left:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # ended by itself: what we want
    return not left


def _reap() -> None:
    """Collect the orphans that the kernel gave to us, so that none stays as a zombie."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return


def clear(data: Path, identity: Identity, pg_ctl: Path, *, gently: bool) -> None:
    """End every PostgreSQL process left on ``data`` and remove the lock file of a dead postmaster.

    ``gently`` asks a postmaster that may still live to stop (immediate shutdown) and gives it 6 seconds; otherwise
    all are killed at once, as is right for backends without a postmaster. Call it while no child of ours is meant
    to run: the exit codes of all children are collected.
    """
    if not LINUX:
        # Without /proc, PostgreSQL's own lock file and shared memory are asked; it guards them itself at the start.
        if (data / "postmaster.pid").exists():
            argv = [str(pg_ctl), "stop", "-D", str(data), "-m", "immediate", "-w", "-t", "10"]
            subprocess.run(argv, check=False, stdin=subprocess.DEVNULL)  # noqa: S603 - our own binary
        return
    kill_at = time.monotonic() + (_PATIENCE_SECONDS if gently else 0.0)

    def sweep() -> bool:
        return _sweep(data, gently=time.monotonic() < kill_at)

    # As another uid even root may not read /proc/PID/cwd in a container; the same uid always may.
    while not (identity.in_child(sweep) if identity.kind == "dropped" else sweep()):
        time.sleep(_SWEEP_SECONDS)
        _reap()
    _reap()
    # Its pid may belong to another program by now, which would make PostgreSQL refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)
