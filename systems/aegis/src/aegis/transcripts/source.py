"""Reading a folder or a zip of transcripts: one file at a time, and never past a limit.

Both are somebody else's input. Nothing is ever written under a name that they give, no link is followed out of them,
and what is refused is refused by its name while the rest is read.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from aegis.transcripts.model import RawFile, Reason
from aegis.transcripts.zips import SourceError, TooLargeError, UnreadableError, read_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILE_LIMIT = 1_000_000
"""Bytes, uncompressed, that a transcript may have. The largest real call seen has 78 kB."""
SOURCE_LIMIT = 500_000_000
"""Bytes, uncompressed, that one source may have in all."""
COUNT_LIMIT = 20_000
"""Entries that one source may have."""
NAME_LIMIT = 255
"""Characters that a name may have, folders included."""


def read_source(path: Path) -> Iterator[RawFile]:
    """Every entry of a folder (with its subfolders) or a zip, in the order of their names.

    A bad entry is yielded with its problem and ends nothing. Raises `SourceError` for the source as a whole.
    """
    if path.is_dir():
        entries = _read_folder(path)
    elif path.is_file():
        entries = _read_zip(path)
    else:
        msg = f"{path}: no such folder or zip; name the one that holds the transcripts"
        raise SourceError(msg)
    total = 0
    for count, entry in enumerate(entries, start=1):
        total += len(entry.data or b"")
        if count > COUNT_LIMIT or total > SOURCE_LIMIT:
            msg = f"{path}: more than {COUNT_LIMIT} entries or {SOURCE_LIMIT} bytes; split it"
            raise SourceError(msg)
        yield entry


def _read_zip(path: Path) -> Iterator[RawFile]:
    for entry in read_zip(path, count_limit=COUNT_LIMIT, file_limit=FILE_LIMIT):
        name = entry.name
        if len(name) > NAME_LIMIT:
            yield _too_long(name)
        elif entry.leads_out:
            yield _refused(name, Reason.ESCAPES_FOLDER, entry.leads_out)
        elif _is_other(name):
            yield RawFile(name=printable(name), ignored=True)
        else:
            yield _bounded(name, entry.read)


def _read_folder(path: Path) -> Iterator[RawFile]:
    root = path.resolve()
    closed: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=closed.append):
        folders.sort()
        for file in sorted(files):
            yield _folder_entry(root, Path(folder) / file)
    for error in closed:
        name = Path(str(error.filename)).relative_to(root).as_posix()
        yield _refused(name, Reason.UNREADABLE, f"its folder cannot be read ({type(error).__name__})")


def _folder_entry(root: Path, file: Path) -> RawFile:
    name = file.relative_to(root).as_posix()
    if len(name) > NAME_LIMIT:
        return _too_long(name)
    try:
        target = file.resolve(strict=True)
        if not target.is_relative_to(root):
            return _refused(name, Reason.ESCAPES_FOLDER, "it is a link that leads out of the folder")
        if _is_other(name) or not target.is_file():
            return RawFile(name=printable(name), ignored=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        return _refused(name, Reason.UNREADABLE, f"it cannot be read ({type(error).__name__})")

    def read(limit: int) -> bytes:
        with target.open("rb") as stream:
            return stream.read(limit)

    return _bounded(name, read)


def _bounded(name: str, read: Callable[[int], bytes]) -> RawFile:
    """The entry with its bytes, or with the reason why it has none."""
    try:
        data = read(FILE_LIMIT + 1)
    except TooLargeError as error:
        return _refused(name, Reason.TOO_LARGE, str(error))
    except OSError as error:
        return _refused(name, Reason.UNREADABLE, f"it cannot be read ({type(error).__name__})")
    except UnreadableError as error:
        return _refused(name, Reason.UNREADABLE, str(error))
    if len(data) > FILE_LIMIT:
        return _refused(name, Reason.TOO_LARGE, f"it has more than {FILE_LIMIT} bytes")
    return RawFile(name=printable(name), data=data)


def _too_long(name: str) -> RawFile:
    return _refused(name, Reason.UNKNOWN_NAME, f"its name has more than {NAME_LIMIT} characters")


def _refused(name: str, reason: Reason, detail: str) -> RawFile:
    shown = printable(name)
    return RawFile(name=shown, problem=reason, detail=f"{shown} was not read: {detail}.")


def printable(name: str) -> str:
    """A name as it can be shown and stored: of bounded length, in UTF-8, without control characters."""
    if len(name) > NAME_LIMIT:
        name = f"{name[: NAME_LIMIT // 2]}…{name[-NAME_LIMIT // 4 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _is_other(name: str) -> bool:
    """Whether an entry is plainly no transcript: not a .txt, hidden, or of a Mac's resource folder."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or not name.lower().endswith(".txt")
