"""A file opened as what it is: packed or not, alone or in a zip. What is unpacked is counted while it comes."""

from __future__ import annotations

import errno
import gzip
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, Literal

from typing_extensions import Buffer

from penstock.data.sources.faults import BadInput, Place
from penstock.data.sources.zips import check_unpacked, chosen, holds_workbook, open_zip
from penstock.model.errors import StepError

Format = Literal["csv", "json", "parquet", "excel"]
_CALLED: Final[dict[Format, str]] = {
    "csv": "CSV",
    "json": "JSON",
    "parquet": "a Parquet file",
    "excel": "a workbook",
}
FORMATS: Final[tuple[Format, ...]] = ("csv", "json", "parquet", "excel")
LIMIT: Final = 4 * 2**30
"""Bytes that a packed file may unpack to, unless the caller says otherwise."""
_RATIO: Final = 250
"""How many times smaller than its content a packed file may be. Tables pack 3 to 30 to 1."""
_SMALL: Final = 64 * 2**20
"""Bytes: up to here the ratio does not matter."""
_HEAD: Final = 8192

_NEVER: Final[tuple[tuple[bytes, str], ...]] = (
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"SQLite format 3\0", "an SQLite database"),
)
_PAGE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|body|\?xml|error)", re.IGNORECASE)
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]\d-])")
_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".ndjson": "json",
    ".jsonl": "json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file ready to be read.

    Attributes:
        place: What messages call it.
        format: What it is.
        name: Its name without what says that it is packed.
        stream: Its content, unpacked.
        stored: Bytes that it has on disk, packed as it is.
        limit: Bytes that it may have unpacked; None for the usual bounds.
        plain: Whether the stream is the file itself.
    """

    place: Place
    format: Format
    name: str
    stream: IO[bytes]
    stored: int
    limit: int | None
    plain: bool


@contextmanager
def opened(path: Path, *, member: str | None, format: Format | None, limit: int | None) -> Generator[Opened]:  # noqa: A002
    """Open the file as what it is. Raises `BadInput`, and `StepError` when the disk fails."""
    place = Place(path=path)
    try:
        with ExitStack() as stack:
            yield _open(stack, path, member, format, limit)
    except FileNotFoundError as error:
        raise BadInput(place, "there is no such file; look at the path, or land the file first") from error
    except (NotADirectoryError, PermissionError) as error:
        raise BadInput(place, f"cannot be opened ({error.strerror}); give a file that this process may read") from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # an archive that sends its reader to a place before its beginning
            raise BadInput(place, "it is damaged (it points to places outside of itself); fetch it again") from error
        raise StepError(f"{place}: cannot be read ({error.strerror or error}); look at the disk") from error


def _open(stack: ExitStack, path: Path, member: str | None, forced: Format | None, limit: int | None) -> Opened:
    place, name = Place(path=path), path.name
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadInput(place, "it is no file; give a file that this process may read")
    stream: IO[bytes] = stack.enter_context(path.open("rb"))
    stored = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    plain, zipped = True, False
    head = _peek(stream)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        archive = stack.enter_context(open_zip(path))
        if holds_workbook(archive):
            check_unpacked(archive, place, limit or min(LIMIT, max(_SMALL, _RATIO * stored)))
        else:
            info = chosen(archive, path, member)
            place, name, stored = replace(place, member=info.filename), info.filename, info.compress_size
            stream = _counted(stack.enter_context(_of_zip(archive, info, place)), place, stored, limit)
            plain, zipped = False, True
            head = _peek(stream)
            if head.startswith(b"PK\x03\x04"):
                raise BadInput(place, "a zip within a zip, or a workbook in one; unpack the outer one first")
    if member is not None and not zipped:
        raise BadInput(place, f"it is no zip, so it has no member {member!r}; leave member= out")
    if head.startswith(b"\x1f\x8b"):
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=stream))
        name = name.removesuffix(".gz").removesuffix(".gzip")
        stream, plain = _counted(unpacked, place, stored, limit), False
        head = _peek(stream)
        if head.startswith((b"\x1f\x8b", b"PK\x03\x04")):
            raise BadInput(place, "packed twice; unpack the outer one first")
    kind = _format(head, name, place, forced)
    return Opened(place=place, format=kind, name=name, stream=stream, stored=stored, limit=limit, plain=plain)


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: Place) -> IO[bytes]:
    try:
        return archive.open(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError) as error:
        raise BadInput(place, f"it cannot be unpacked ({error}); fetch it again") from error


def _peek(stream: IO[bytes]) -> bytes:
    if isinstance(stream, io.BufferedReader):
        return stream.peek(_HEAD)[:_HEAD]
    raise TypeError(stream)


def _format(head: bytes, name: str, place: Place, forced: Format | None) -> Format:
    """What the content says; the name decides only between texts."""
    found: Format | None = None
    if head.startswith(b"PAR1"):
        found = "parquet"
    elif head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        found = "excel"
    if found is not None:
        if forced is not None and forced != found:
            raise BadInput(place, f"it is {_CALLED[found]}, not {_CALLED[forced]}; leave format= out")
        return found
    if forced is not None and forced in {"parquet", "excel"}:
        raise BadInput(place, f"it is not {_CALLED[forced]}; leave format= out, or fetch it again")
    if not head.strip():
        raise BadInput(place, "it is empty; fetch it again, or say NoData where nothing was expected")
    for mark, what in _NEVER:
        if head.startswith(mark):
            raise BadInput(place, f"it is {what}, which is not read; unpack or convert it first")
    if _PAGE.match(head) and forced is None:
        raise BadInput(
            place, "it is a page of HTML or XML, not a table: an error of the server, perhaps; fetch it again"
        )
    if forced is not None:
        return forced
    named = _SUFFIXES.get(Path(name).suffix.lower())
    looks = _JSON.match(head) is not None
    if looks and named == "csv":
        reason = (
            "it is named as CSV and holds JSON: an error of the server, perhaps; say format='json' to read it as that"
        )
        raise BadInput(place, reason)
    return "json" if looks else named or "csv"


def _counted(inner: IO[bytes] | gzip.GzipFile, place: Place, packed: int, limit: int | None) -> IO[bytes]:
    return io.BufferedReader(_Counted(inner, place, packed, limit), 256 * 1024)


class _Counted(io.RawIOBase):
    """What comes out of a packed file, up to a limit, its faults named."""

    def __init__(self, inner: IO[bytes] | gzip.GzipFile, place: Place, packed: int, limit: int | None) -> None:
        self._inner, self._place, self._limit = inner, place, limit or LIMIT
        self._honest = None if limit else max(_SMALL, _RATIO * packed)
        self._came = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            part = self._inner.read(len(view))
        except EOFError as error:
            raise BadInput(self._place, f"it is cut short after {self._came} bytes unpacked; fetch it again") from error
        except (zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError, ValueError) as error:
            raise BadInput(self._place, f"it is damaged ({error}); fetch it again") from error
        self._came += len(part)
        if self._came > self._limit:
            reason = f"it unpacks to more than {self._limit} bytes; if that is right, say how many with limit="
            raise BadInput(self._place, reason)
        if self._honest is not None and self._came > self._honest:
            reason = f"it is packed more than {_RATIO} to 1, as a zip bomb is; if that is right, set limit= (bytes)"
            raise BadInput(self._place, reason)
        view[: len(part)] = part
        return len(part)
