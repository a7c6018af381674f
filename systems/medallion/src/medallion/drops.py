"""Drop folders: which files lie in them, and which of those are complete."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

if TYPE_CHECKING:
    from uuid import UUID

    from medallion.feeds import Feed

_UNFINISHED: Final = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".inprogress", ".swp")
_DAY: Final = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_QUARTER: Final = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_.]?[Qq]([1-4])(?!\d)")
_MONTH: Final = re.compile(r"(?<!\d)((?:19|20)\d{2})[-_.](0[1-9]|1[0-2])(?!\d)")
log = structlog.get_logger("medallion")


class Arrival(NamedTuple):
    """A complete file in a drop folder. `fingerprint` changes when the file does."""

    feed_id: UUID
    day: date
    part: str
    path: str
    fingerprint: str


def arrivals(feeds: list[Feed], *, now: float, settle: float) -> list[Arrival]:
    """The complete files of these feeds' folders.

    Args:
        feeds: Feeds that are dropped; others are passed over.
        now: The time, in seconds since the epoch.
        settle: Seconds that a file must have been left alone.
    """
    found: list[Arrival] = []
    for feed in feeds:
        folder = feed.config.folder
        if feed.source != "drop" or not feed.active or folder is None:
            continue
        try:
            if not folder.is_dir():
                log.warning("The drop folder of a feed is not there", feed=feed.name, folder=str(folder))
                continue
            there = list(_complete(folder, feed.config.pattern, now, settle))
        except OSError as error:  # one feed's folder must not keep the others from being looked into
            log.warning("The drop folder of a feed cannot be read", feed=feed.name, reason=str(error))
            continue
        found += [Arrival(feed.id, *arrival) for arrival in there]
    return found


def fingerprint_of(path: Path) -> str:
    """Size and time of a file: what tells that it was changed."""
    seen = path.stat()
    return f"{seen.st_size}-{seen.st_mtime_ns}"


def day_of(name: str, modified: float) -> date:
    """The day that a file is about: as its name says, else the day (UTC) when it was last written.

    A quarter or a month counts as its last day.
    """
    if found := _DAY.search(name):
        with contextlib.suppress(ValueError):  # such as 2024-02-30, which is no date but some other number
            return date(int(found[1]), int(found[2]), int(found[3]))
    if found := _QUARTER.search(name):
        return _end_of(int(found[1]), int(found[2]) * 3)
    if found := _MONTH.search(name):
        return _end_of(int(found[1]), int(found[2]))
    return datetime.fromtimestamp(modified, UTC).date()


def _end_of(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def _complete(folder: Path, pattern: str, now: float, settle: float) -> Iterator[tuple[date, str, str, str]]:
    for path in sorted(folder.glob(pattern)):
        if path.name.startswith(".") or path.name.lower().endswith(_UNFINISHED):
            continue
        if not _is_text(path):
            log.warning("The name of a dropped file is no text in UTF-8: rename it", file=repr(str(path)))
            continue
        try:
            seen = path.lstat()
        except OSError:  # renamed or removed since it was listed: the next look sees what became of it
            continue
        if not stat.S_ISREG(seen.st_mode) or now - seen.st_mtime < settle or _being_written(path):
            continue
        part = path.relative_to(folder).as_posix()  # in two folders below there may be files of one name
        yield day_of(path.name, seen.st_mtime), part, str(path), f"{seen.st_size}-{seen.st_mtime_ns}"


def _is_text(path: Path) -> bool:
    """Whether the database can keep its name: to a file system it is bytes of any kind."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _being_written(path: Path) -> bool:
    """Whether a process of this machine has it open for writing, where the system can tell (Linux, own files)."""
    lease, told = getattr(fcntl, "F_SETLEASE", None), getattr(fcntl, "F_SETSIG", None)
    if lease is None or told is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return True  # nothing can be read from it now
    try:
        # Who opens it to write while this looks is held up for as long, and we are told by a signal: SIGIO, which would
        # end this process, unless another is asked for. SIGURG is passed over where nobody waits for it.
        fcntl.fcntl(descriptor, told, signal.SIGURG)
        fcntl.fcntl(descriptor, lease, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, lease, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:  # not our file, or a file system without leases
        return False
    finally:
        os.close(descriptor)
    return False
