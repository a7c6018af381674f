"""The entries of a zip that nobody trusts.

Its directory may be huge, its header may lie about sizes, entries may share their bytes, and names may lead anywhere.
So the directory's size is looked at before it is read, declared sizes before anything is unpacked, and what is
unpacked is counted.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RATIO_LIMIT = 100
"""How many times smaller than its text an entry may be. Speech packs 3 to 1, and JSON of it 5 to 1."""
_SMALL = 50_000
"""Bytes: of an entry as small as this the ratio does not matter."""
_DIRECTORY_ENTRY = 800
"""Bytes of the directory that an entry may have on average: its name and extra fields, generously."""

# The record that ends a zip (PKWARE's APPNOTE, 4.3.16): the directory's count of entries and its size are at 10 and 12.
_END = struct.Struct("<4s4H2LH")
_END_MARK, _END_64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_END_64_LENGTH = 20
_COMMENT = 65_535
_FILE_HEADER = 30
_DRIVE = re.compile(r"[A-Za-z]:")


class SourceError(ValueError):
    """The source as a whole cannot be read: not there, not a zip, or beyond what one source may hold."""


class TooLargeError(ValueError):
    """An entry that unpacks to more than a transcript may have, or more than its packed size can honestly hold."""


class UnreadableError(ValueError):
    """An entry that cannot be unpacked."""


@dataclass(frozen=True, kw_only=True)
class ZipEntry:
    """An entry of an open zip. `leads_out` says why it is no file within the zip, where it is none."""

    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    name: str
    leads_out: str | None
    overlaps: bool
    file_limit: int

    def read(self, limit: int) -> bytes:
        """At most so many of the entry's bytes. Raises `TooLargeError` and `UnreadableError`, and `OSError`."""
        packed, declared = self.info.compress_size, self.info.file_size
        if self.overlaps:
            raise UnreadableError("it shares its bytes with another entry")
        if declared > self.file_limit:
            raise TooLargeError(f"it has more than {self.file_limit} bytes unpacked")
        if declared > max(_SMALL, RATIO_LIMIT * packed):
            raise TooLargeError(f"it is packed more than {RATIO_LIMIT} to 1")
        try:
            # The declared size bounds what the library unpacks; where it is a lie, the checksum does not fit.
            with self.archive.open(self.info) as stream:
                return stream.read(limit)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            # RuntimeError is an encrypted entry, NotImplementedError an unknown compression; ValueError comes of names.
            raise UnreadableError(f"it cannot be unpacked ({error})") from error


def read_zip(path: Path, *, count_limit: int, file_limit: int) -> Iterator[ZipEntry]:
    """The entries that are no folders, by name; each may be read until the next is asked for. Raises `SourceError`."""
    try:
        _look_at_directory(path, count_limit)
        archive = zipfile.ZipFile(path)
    except SourceError:
        raise
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, struct.error) as error:
        msg = f"{path}: not a readable zip ({error}); give a folder or a zip of .txt files"
        raise SourceError(msg) from error
    with archive:
        infos = archive.infolist()
        if len(infos) > count_limit:
            msg = f"{path}: more than {count_limit} entries; split it"
            raise SourceError(msg)
        overlapping = _overlapping(infos)
        for info in sorted(infos, key=lambda info: info.filename):
            if info.is_dir():
                continue
            yield ZipEntry(
                archive=archive,
                info=info,
                name=info.orig_filename.replace("\\", "/"),
                leads_out=_leads_out(info),
                overlaps=info.header_offset in overlapping,
                file_limit=file_limit,
            )


def _look_at_directory(path: Path, count_limit: int) -> None:
    """Refuses a zip whose directory is beyond the limits before the library reads all of it into memory."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END.size - _COMMENT - _END_64_LENGTH))
        tail = stream.read()
    # As the library looks for it: at the very end, else the last mark.
    at = len(tail) - _END.size
    if at < 0 or not (tail[at:].startswith(_END_MARK) and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise zipfile.BadZipFile("it has no directory")
    _, _, _, _, entries, length, _, _ = _END.unpack_from(tail, at)
    # The 64-bit form is for what is beyond the limits anyway.
    wide = at >= _END_64_LENGTH and tail[at - _END_64_LENGTH :].startswith(_END_64_MARK)
    if wide or entries > count_limit or length > count_limit * _DIRECTORY_ENTRY:
        msg = f"{path}: more than {count_limit} entries, or of the form for more than 4 GB; split it"
        raise SourceError(msg)


def _overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Where entries begin that reach into the next one: a bomb of many entries has one packed file for all of them."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    return {
        info.header_offset
        for info, following in pairwise(ordered)
        if info.header_offset + _FILE_HEADER + info.compress_size > following.header_offset
    }


def _leads_out(info: zipfile.ZipInfo) -> str | None:
    name = info.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if "\0" in name:
        return "its name holds a NUL character"
    if name.startswith(("/", "\\")) or ".." in parts or _DRIVE.match(name) is not None:
        return "its name leads out of the zip"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "it is a link or a device, not a file"
    return None
