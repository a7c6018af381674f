"""Text as it may be shown: what would move the cursor, begin a line or turn the direction of reading is spelled out."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_HIDDEN: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROL: Final = re.compile(f"[{_HIDDEN}]")
_WITH_LINES: Final = re.compile(f"[{_HIDDEN}\t\n]")
_NOT_PLAIN: Final = re.compile(r"^\.+|[^A-Za-z0-9._ -]")
_LONGEST_FOLDER: Final = 100
_NAMED: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str) -> str:
    """One line: control characters, line breaks and marks that turn the direction of reading as escapes.

    A unit's value or an error could otherwise clear the screen, forge a line of a log, or hide what it says.
    """
    return text if text.isascii() and text.isprintable() else _WITH_LINES.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The same for text that may have lines, such as a traceback: line breaks and tabs stay."""
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")  # noqa: PLR2004 - Latin-1


def folder_name(name: str) -> str:
    """A name as that of one folder: it leads nowhere else, whatever the name is, and two names have two folders."""
    plain = _NOT_PLAIN.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace")), name)
    if len(plain) > _LONGEST_FOLDER:
        plain = f"{plain[:_LONGEST_FOLDER]}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return plain or "%"
