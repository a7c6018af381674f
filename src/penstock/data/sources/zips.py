"""One file out of a zip that nobody trusts.

Its directory may be huge, its header may lie about sizes, members may share their bytes, and names may lead anywhere.
So the directory's size is looked at before it is read, and the member is unpacked as a stream that is counted.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Final

from penstock.data.sources.faults import BadInput, Place
from penstock.model.spelling import did_you_mean

MOST_MEMBERS: Final = 10_000
_DIRECTORY_ENTRY: Final = 800
"""Bytes of the directory that a member may have on average: its name and extra fields, generously."""
# The record that ends a zip (PKWARE's APPNOTE, 4.3.16): the directory's count of entries and its size are at 10 and 12.
_END: Final = struct.Struct("<4s4H2LH")
_END_MARK, _END_64_MARK = b"PK\x05\x06", b"PK\x06\x07"
_END_64_LENGTH: Final = 20
_COMMENT: Final = 65_535
_FILE_HEADER: Final = 30
_ENCRYPTED: Final = 0x1
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_NAMED: Final = 5


def open_zip(path: Path) -> zipfile.ZipFile:
    """The zip, its directory read. Raises `BadInput`, `OSError`."""
    place = Place(path=path)
    try:
        _look_at_directory(path)
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise BadInput(place, f"not a readable zip ({error}); fetch it again") from error


def holds_workbook(archive: zipfile.ZipFile) -> bool:
    """Whether the zip is a workbook: Office Open XML (.xlsx, .xlsb) or OpenDocument (.ods)."""
    names = set(archive.namelist())
    return any(name.startswith("xl/workbook.") for name in names) or {"mimetype", "content.xml"} <= names


def chosen(archive: zipfile.ZipFile, path: Path, member: str | None) -> zipfile.ZipInfo:
    """The member of this name, or the only one. Raises `BadInput`."""
    place = Place(path=path)
    files = [info for info in archive.infolist() if not info.is_dir() and not _by_the_way(info.filename)]
    if member is None:
        if not files:
            raise BadInput(place, "the zip is empty; fetch it again")
        if len(files) > 1:
            raise BadInput(place, f"the zip holds {len(files)} files ({_some(files)}); say which: member=")
        found = files[0]
    else:
        same = [info for info in files if info.filename == member]
        if not same:
            there = f"; it holds {_some(files) or 'no file'}"
            hint = did_you_mean(member, [info.filename for info in files], otherwise=there, quoted=True)
            raise BadInput(place, f"the zip has no member {member!r}{hint}")
        if len(same) > 1:
            raise BadInput(place, f"the zip has {len(same)} members named {member!r}; which one is meant is not said")
        found = same[0]
    if (why := _refused(found, _overlapping(archive))) is not None:
        raise BadInput(Place(path=path, member=found.filename), f"{why}; it is not read")
    return found


def check_unpacked(archive: zipfile.ZipFile, place: Place, limit: int) -> None:
    """Refuses a workbook that unpacks to more than the limit, or whose parts are damaged. Raises `BadInput`."""
    total = sum(info.file_size for info in archive.infolist())
    if total > limit:
        raise BadInput(place, f"it unpacks to {total} bytes, more than {limit}; if that is right, raise limit=")
    overlapping = _overlapping(archive)
    for info in archive.infolist():
        if (why := _refused(info, overlapping)) is not None:
            raise BadInput(place, f"its part {info.filename!r}: {why}; it is not read")
    try:
        damaged = archive.testzip()
    except (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadInput(place, f"it is damaged ({error}); fetch it again") from error
    if damaged is not None:
        raise BadInput(place, f"its part {damaged!r} is damaged; fetch it again")


def _by_the_way(name: str) -> bool:
    """What a Mac puts into every zip."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _some(files: list[zipfile.ZipInfo]) -> str:
    names = ", ".join(repr(info.filename) for info in files[:_NAMED])
    return names if len(files) <= _NAMED else f"{names}, …"


def _refused(info: zipfile.ZipInfo, overlapping: set[int]) -> str | None:
    name = info.orig_filename
    if "\0" in name:
        return "its name holds a NUL character"
    if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts or _DRIVE.match(name):
        return "its name leads out of the zip"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a link or a device, not a file"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    return "it shares its bytes with another member" if info.header_offset in overlapping else None


def _overlapping(archive: zipfile.ZipFile) -> set[int]:
    """Where members begin that reach into another: a bomb of many members has one packed file for all of them."""
    ordered = sorted(archive.infolist(), key=lambda info: (info.header_offset, info.compress_size))
    shared: set[int] = set()
    for info, following in pairwise(ordered):
        if info.header_offset + _FILE_HEADER + info.compress_size > following.header_offset:
            shared |= {info.header_offset, following.header_offset}
    return shared


def _look_at_directory(path: Path) -> None:
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
        raise zipfile.BadZipFile("it has no directory: it is cut short, or no zip")
    _, _, _, _, entries, length, _, _ = _END.unpack_from(tail, at)
    wide = at >= _END_64_LENGTH and tail[at - _END_64_LENGTH :].startswith(_END_64_MARK)
    if wide or entries > MOST_MEMBERS or length > MOST_MEMBERS * _DIRECTORY_ENTRY:
        reason = f"more than {MOST_MEMBERS} members, or of the form for more than 4 GB; split it"
        raise BadInput(Place(path=path), reason)
