"""Bytes as text, in blocks, each byte accounted for.

UTF-8 is tried, since nothing else passes for it by chance. A file that is ASCII up to its first byte that UTF-8 does
not know is taken for Windows-1252, of which Latin-1's printable characters are a part; one that was UTF-8 up to there
is damaged, and says where. So a decision is never taken back, and one pass is enough.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, Final

from penstock.data.sources.faults import BadInput, Place
from penstock.model.errors import DefinitionError

BLOCK: Final = 4 * 2**20
"""Bytes at once."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_FILES: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined"})
_SAMPLE: Final = 4096
_WINDOWS: Final = "cp1252"
# As the Encoding Standard of the web has it: the five bytes that Windows-1252 leaves open are the control characters
# that Latin-1 has there.
_C1: Final = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}


def known_encoding(name: str) -> str:
    """The encoding's one name. Raises `DefinitionError`."""
    try:
        known = codecs.lookup(name).name
        "".encode(known)  # raises for what is no encoding of text, like base64
    except (LookupError, UnicodeError) as error:
        raise DefinitionError(
            f"encoding={name!r} is no encoding that Python knows; 'utf-8' and 'cp1252' are"
        ) from error
    if known in _NO_FILES:
        raise DefinitionError(f"encoding={name!r} is for other things than files; 'utf-8' and 'cp1252' are for them")
    return known.removesuffix("-sig")


def text_blocks(stream: IO[bytes], place: Place, encoding: str | None) -> Iterator[str]:
    """The text without its byte order mark, in blocks that end anywhere. Raises `BadInput`."""
    block = stream.read(BLOCK)
    mark, marked = next(((mark, name) for mark, name in _MARKS if block.startswith(mark)), (b"", None))
    wanted = encoding or marked or _wide(block)
    if mark and _same(wanted, marked):
        block = block[len(mark) :] or stream.read(BLOCK)
        wanted = marked
    decoder = _Decoder(place, wanted)
    while block:
        following = stream.read(BLOCK)
        text = decoder.decode(block, final=not following)
        if text:
            yield text
        block = following


def _same(wanted: str | None, marked: str | None) -> bool:
    return wanted is not None and marked is not None and (wanted == marked or wanted == marked.rpartition("-")[0])


def _wide(block: bytes) -> str | None:
    """UTF-16 without its mark: text has a NUL in every other byte then, or nearly."""
    sample = block[:_SAMPLE]
    if len(sample) < 4:  # noqa: PLR2004 - two characters
        return None
    even, odd = sample[::2], sample[1::2]
    if odd.count(0) > 0.6 * len(odd) and even.count(0) < 0.1 * len(even):
        return "utf-16-le"
    if even.count(0) > 0.6 * len(even) and odd.count(0) < 0.1 * len(odd):
        return "utf-16-be"
    return None


class _Decoder:
    """Decodes block after block; without a set encoding it begins with UTF-8."""

    def __init__(self, place: Place, encoding: str | None) -> None:
        self._place, self._set = place, encoding
        self._name = encoding or "utf-8"
        self._decoder = codecs.getincrementaldecoder(self._name)()
        self._ascii = True
        self._lines = 1

    def decode(self, block: bytes, *, final: bool) -> str:
        before, _ = self._decoder.getstate()
        try:
            text = self._decoder.decode(block, final)
        except UnicodeDecodeError as error:
            text = self._other(before + block, error, final=final)
        if self._ascii and not text.isascii():
            self._ascii = False
        self._lines += text.count("\n")
        return text

    def _other(self, block: bytes, error: UnicodeDecodeError, *, final: bool) -> str:
        if self._set is None and self._name == "utf-8" and self._ascii and block[: error.start].isascii():
            self._name = _WINDOWS
            self._decoder = codecs.getincrementaldecoder(_WINDOWS)()
            try:
                return self._decoder.decode(block, final)
            except UnicodeDecodeError:
                return block.decode("latin-1").translate(_C1)
        if self._set is None and self._name == _WINDOWS:
            return block.decode("latin-1").translate(_C1)
        line = self._lines + block[: error.start].decode(self._name, "replace").count("\n")
        value = block[error.start : error.start + 1]
        hint = (
            "say encoding='cp1252' if it is that"
            if self._name == "utf-8"
            else "leave encoding= out to have it detected"
        )
        reason = f"byte 0x{value.hex()} is not {self._name.upper()} ({error.reason}); fetch it again, or {hint}"
        raise BadInput(self._place, reason, line=line, value=value)
