"""Reading a folder or a zip of transcripts: one file at a time, and never past a limit.

A zip is somebody else's input. Its header may lie about sizes and its names may point out of the folder, so the
limit holds for the bytes actually unpacked, and nothing is ever written under a name that the zip gives.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from aegis.transcripts.model import RawFile, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_LIMIT = 5_000_000
"""Bytes, uncompressed, that a transcript may have. The largest real call seen has 78 kB."""
SOURCE_LIMIT = 1_000_000_000
"""Bytes, uncompressed, that one source may have in all."""
COUNT_LIMIT = 20_000
"""Entries that one source may have."""

_DRIVE = re.compile(r"[A-Za-z]:")


class SourceError(ValueError):
    """The source as a whole cannot be read: not there, not a zip, or beyond what one source may hold."""


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
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        msg = f"{path}: not a readable zip ({error}); give a folder or a zip of .txt files"
        raise SourceError(msg) from error
    with archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if info.is_dir():
                continue
            yield _zip_entry(archive, info)


def _zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> RawFile:
    name = info.filename
    if _escapes(name) or stat.S_ISLNK(info.external_attr >> 16):
        return _refused(name, Reason.ESCAPES_FOLDER, "its name or link leads out of the zip")
    if _is_other(name):
        return RawFile(name=name, ignored=True)
    try:
        with archive.open(info) as stream:
            data = stream.read(FILE_LIMIT + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        # RuntimeError is what zipfile raises for an encrypted entry, NotImplementedError for an unknown compression.
        return _refused(name, Reason.UNREADABLE, f"it cannot be unpacked ({error})")
    return _bounded(name, data)


def _read_folder(path: Path) -> Iterator[RawFile]:
    root = path.resolve()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            yield _folder_entry(root, Path(folder) / file)


def _folder_entry(root: Path, file: Path) -> RawFile:
    name = file.relative_to(root).as_posix()
    try:
        target = file.resolve(strict=True)
        if not target.is_relative_to(root):
            return _refused(name, Reason.ESCAPES_FOLDER, "it is a link that leads out of the folder")
        if _is_other(name) or not target.is_file():
            return RawFile(name=name, ignored=True)
        with target.open("rb") as stream:
            data = stream.read(FILE_LIMIT + 1)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        return _refused(name, Reason.UNREADABLE, f"it cannot be read ({type(error).__name__})")
    return _bounded(name, data)


def _bounded(name: str, data: bytes) -> RawFile:
    if len(data) > FILE_LIMIT:
        return _refused(name, Reason.TOO_LARGE, f"it has more than {FILE_LIMIT} bytes unpacked")
    return RawFile(name=name, data=data)


def _refused(name: str, reason: Reason, detail: str) -> RawFile:
    return RawFile(name=name, problem=reason, detail=f"{name} was not read: {detail}.")


def _escapes(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return name.startswith(("/", "\\")) or ".." in parts or "\0" in name or _DRIVE.match(name) is not None


def _is_other(name: str) -> bool:
    """Whether an entry is plainly no transcript: not a .txt, hidden, or of a Mac's resource folder."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or not name.lower().endswith(".txt")
