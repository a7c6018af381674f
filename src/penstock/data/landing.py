"""`land`: what came from elsewhere, kept as it was received."""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator, Iterable
from contextlib import aclosing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, Self, cast

from pydantic import AwareDatetime, BaseModel, ConfigDict
from typing_extensions import Buffer

from penstock.config import load_settings
from penstock.data.threads import in_thread
from penstock.definition.context import running
from penstock.model.errors import DefinitionError, InvalidData, StepError

Content = bytes | bytearray | memoryview | Path | Iterable[bytes] | AsyncIterable[bytes]

_CHUNK: Final = 1 << 20
_LONGEST_NAME: Final = 200
"""Bytes; file systems allow 255."""
_PARTS: Final = ".parts"
_ABANDONED: Final = timedelta(days=1)


class Landed(BaseModel):
    """A file as it was received; fit to be a step's output.

    Attributes:
        path: Where it lies, whole: under the landing folder, by its hash.
        name: The name it was given.
        origin: Where it came from, in the caller's words.
        sha256: The hash of its bytes, in hexadecimal.
        bytes: How many it has.
        landed_at: When; a repeat has the same path and a time of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    name: str
    origin: str
    sha256: str
    bytes: int
    landed_at: AwareDatetime


async def land(content: Content | Awaitable[Content], *, name: str, origin: str, folder: Path | None = None) -> Landed:
    """Keep bytes as they are received, under the hash of what they are.

    The file is `folder/ab/abcd…/name`, where `abcd…` is its SHA-256: the same content under the same name is the same
    file, however often it comes, and other content never takes its place. It is there whole or not at all, also after
    a crash: written beside, flushed to the disk, then renamed. In a step, its bytes are counted.

    Args:
        content: Bytes, a file to be copied, an iterator or async iterator of bytes (a streamed answer), or an awaitable
            of one of these.
        name: Its name; `read` looks at how it ends where the content does not say what it is.
        origin: Where it came from, for whoever asks later: an address without its secrets, an account, a person.
        folder: The landing folder; `landing` in Penstock's home by default.

    Raises:
        InvalidData: The name is no file's name, or the file to be copied is not there.
        StepError: The disk is full, or failed.
        DefinitionError: The content is none.
    """
    try:
        _check_name(name)
    except InvalidData:
        if inspect.iscoroutine(content):
            content.close()
        raise
    root = (await in_thread(load_settings)).home / "landing" if folder is None else Path(folder)
    given = await content if inspect.isawaitable(content) else content
    part = await in_thread(_Part.begun, root.absolute())
    try:
        async with aclosing(_chunks(given)) as chunks:
            async for chunk in chunks:
                await in_thread(part.write, chunk)
        path = await in_thread(part.end, name)
    finally:
        await in_thread(part.drop)
    context = running()
    if context is not None:
        context.count(bytes=part.size)
    at = datetime.now(UTC) if context is None else context.now()
    return Landed(path=path, name=name, origin=origin, sha256=part.sha256, bytes=part.size, landed_at=at)


def _check_name(name: str) -> None:
    why = None
    if not name or name in {".", ".."} or name != name.strip():
        why = "is empty, a folder, or has blanks around it"
    elif any(mark in name for mark in "/\\") or not name.isprintable():
        why = "leads elsewhere, or has characters that no file's name should have"
    elif len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
        why = f"has more than {_LONGEST_NAME} bytes"
    if why is not None:
        raise InvalidData(f"name={name[:_LONGEST_NAME]!r} {why}; give the file a plain name, like '2024-12-23.csv'")


async def _chunks(content: Content) -> AsyncGenerator[bytes]:
    """The content in pieces that are worth a write."""
    held = bytearray()
    async with aclosing(_pieces(content)) as pieces:
        async for piece in pieces:
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise DefinitionError(f"content gave {type(piece).__name__}, not bytes; encode a text first")
            held += piece
            if len(held) >= _CHUNK:
                yield bytes(held)
                held.clear()
    yield bytes(held)


async def _pieces(content: Any) -> AsyncGenerator[object]:
    match content:
        case bytes() | bytearray() | memoryview():
            yield content
        case Path():
            try:
                stream = await in_thread(content.open, "rb")
            except OSError as error:
                raise InvalidData(f"{content}: cannot be landed ({error.strerror}); look at the path") from error
            try:
                while block := await in_thread(stream.read, _CHUNK):
                    yield block
            finally:
                stream.close()
        case str():
            raise DefinitionError("content is a text; encode it, or give a Path where it names a file")
        case AsyncIterable():
            streamed = cast(AsyncIterable[object], content)
            try:
                async for piece in streamed:
                    yield piece
            finally:
                if isinstance(streamed, AsyncGenerator):  # a download that is not read to its end is hung up
                    await streamed.aclose()
        case Iterable():
            iterator = iter(cast(Iterable[object], content))
            while (part := await in_thread(next, iterator, None)) is not None:
                yield part
        case _:
            raise DefinitionError(f"content is {type(content).__name__}; give bytes, a Path, or an iterator of bytes")


class _Part:
    """A file that is not whole yet."""

    def __init__(self, root: Path, stream: IO[bytes]) -> None:
        self._root, self._stream, self._path = root, stream, Path(stream.name)
        self._hash, self.size = hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @classmethod
    def begun(cls, root: Path) -> Self:
        parts = root / _PARTS
        with _writing(root):
            parts.mkdir(parents=True, exist_ok=True)
            _sweep(parts)
            return cls(root, tempfile.NamedTemporaryFile(dir=parts, delete=False))

    def write(self, chunk: Buffer) -> None:
        with _writing(self._root):
            self._stream.write(chunk)
        self._hash.update(chunk)
        self.size += len(memoryview(chunk))

    def end(self, name: str) -> Path:
        folder = self._root / self.sha256[:2] / self.sha256
        with _writing(self._root):
            self._stream.flush()
            os.fchmod(self._stream.fileno(), 0o400)  # nobody writes it any more, and others have no business in it
            os.fsync(self._stream.fileno())
            folder.mkdir(parents=True, exist_ok=True)
            self._path.replace(folder / name)
            for each in (folder, folder.parent, self._root):
                _flush(each)
        return folder / name

    def drop(self) -> None:
        with suppress(OSError):  # a full disk says so again on close; the file goes away
            self._stream.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def _writing(root: Path) -> Generator[None]:
    """A disk's fault as a step's."""
    try:
        yield
    except OSError as error:
        reason = f"{root}: cannot be written ({error.strerror or error}); look at the disk, or give folder="
        raise StepError(reason) from error


def _flush(folder: Path) -> None:
    """A rename is on disk when the folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(parts: Path) -> None:
    """Removes what processes left that were killed while they wrote."""
    oldest = (datetime.now(UTC) - _ABANDONED).timestamp()
    for each in parts.iterdir():
        with suppress(FileNotFoundError):  # another process sweeps too
            if each.stat().st_mtime < oldest:
                each.unlink()
