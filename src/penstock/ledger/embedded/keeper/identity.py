"""Under which user PostgreSQL runs. It refuses uid 0, and initdb wants a user that has a name.

Three ways, the first that works: as we are; in a user namespace that gives our uid another number (files stay ours);
or, for root where namespaces are refused (many containers), by dropping to a uid that nobody else uses.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, NamedTuple

from .failure import StartupError
from .linux import enter_user_namespace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The first uid tried for a server that root must give away; any uid without a name would do.
_PRIVATE_UID = 28787
_ADVICE = "Set PENSTOCK_DATABASE_URL to a PostgreSQL of yours, or run Penstock as a normal user of this machine."


class Identity(NamedTuple):
    """Who PostgreSQL's processes are; ``assume`` is run by the child between fork and exec."""

    kind: str  # "same", "mapped" (user namespace) or "dropped" (another uid)
    uid: int  # as seen by PostgreSQL
    gid: int

    def assume(self) -> None:
        """Become this identity, for good. Raises ``OSError`` where the system refuses it."""
        if self.kind == "mapped":
            enter_user_namespace(self.uid, self.gid)
        elif self.kind == "dropped":
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)

    @property
    def owner(self) -> tuple[int, int]:
        """The uid and gid that own the files, as this process sees them."""
        return (self.uid, self.gid) if self.kind == "dropped" else (os.geteuid(), os.getegid())

    def in_child(self, action: Callable[[], bool]) -> bool:
        """Run ``action`` in a forked child that has assumed this identity; False if it says so or fails."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.assume()
                code = 0 if action() else 1
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _named_user() -> pwd.struct_passwd:
    """Return an unprivileged user that has a name: ``nobody``, or the first other one of this machine."""
    entries = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not entries:
        message = f"PostgreSQL needs one user besides root in /etc/passwd and there is none. {_ADVICE}"
        raise StartupError(message)
    return next((entry for entry in entries if entry.pw_name == "nobody"), entries[0])


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _private_uid() -> int:
    uid = _PRIVATE_UID
    while _has_name(uid):
        uid += 1
    return uid


def choose(folder: Path, data: Path, postgres: Path) -> Identity:
    """Find the identity under which ``postgres`` can work on ``data`` inside ``folder``.

    Raises ``StartupError`` if there is none, with what the user can do about it.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 and _has_name(uid):
        return Identity("same", uid, gid)

    def reachable() -> bool:
        return os.access(folder, os.X_OK) and os.access(postgres, os.X_OK)

    if uid == 0 and data.exists() and (found := data.stat()).st_uid != 0:
        # Made by a normal user, or by root where namespaces were refused: the files' owner goes on with them.
        owner = Identity("dropped", found.st_uid, found.st_gid)
        if owner.in_child(reachable):
            return owner
        message = f"The database in {folder} belongs to uid {found.st_uid}, which cannot reach it. {_ADVICE}"
        raise StartupError(message)
    user = _named_user()
    # PENSTOCK_EMBEDDED_NAMESPACE=0 takes the other way on purpose (and lets the tests see both).
    if os.environ.get("PENSTOCK_EMBEDDED_NAMESPACE") != "0":
        mapped = Identity("mapped", user.pw_uid, user.pw_gid or user.pw_uid)
        if mapped.in_child(reachable):
            return mapped
    if uid == 0 and not data.exists():
        private = _private_uid()
        folder.chmod(0o711)  # our own folder: its files keep 0600/0700, but the server must pass through
        dropped = Identity("dropped", private, private)
        if dropped.in_child(reachable):
            return dropped
        folder.chmod(0o700)
    reason = f"another user cannot reach both {folder} and {postgres}" if uid == 0 else "the uid has no name"
    message = f"PostgreSQL does not run as uid {uid}: this machine refuses user namespaces, and {reason}. {_ADVICE}"
    raise StartupError(message)


def for_initdb(identity: Identity) -> Identity:
    """Return the identity for initdb, which (unlike the server) refuses a uid without a name."""
    if identity.kind == "dropped" and not _has_name(identity.uid):
        user = _named_user()
        return Identity("dropped", user.pw_uid, user.pw_gid)
    return identity
