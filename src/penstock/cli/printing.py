"""Data on stdout: tables that stay whole in a pipe and fit the window on a terminal, and JSON.

What units, errors and logs say is shown with its control characters spelled out: no text of theirs can move the
cursor, begin a line of its own or turn the direction of reading.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

import typer

from penstock.model.printable import visible, visible_lines

_COLOURS = {
    "completed": "green",
    "ok": "green",
    "failed": "red",
    "problem": "red",
    "crashed": "red",
    "ERROR": "red",
    "partial": "yellow",
    "rejected": "yellow",
    "warning": "yellow",
    "WARNING": "yellow",
    "waiting": "yellow",
    "running": "cyan",
}


_STYLE: Final = re.compile(r"(\x1b\[(?:0|2|3[1-6])m)")
"""What `dim` and `state` write; whatever else looks like an escape sequence is data."""
_RAW_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def line(text: str = "", to: TextIO | None = None) -> None:
    """One line on stdout, or where it is said; line breaks are kept, so join the words of values before."""
    parts = _STYLE.split(text) if _in_colour() else [text]
    shown = "".join(part if n % 2 else visible_lines(part) for n, part in enumerate(parts))
    out = sys.stdout if to is None else to
    out.write(f"{shown}\n")


def joined(value: object) -> str:
    """A value as one line: its words with single blanks between them."""
    return visible(" ".join(str(value).split()))


def indented(value: object) -> str:
    """A value that may have lines; those after the first are set in, so that none looks like a line of our own."""
    return visible_lines(str(value)).replace("\n", "\n      ")


def document(value: Any) -> None:
    """One JSON document on stdout; times are ISO, ids text, whatever else is unknown text too."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    sys.stdout.write(_RAW_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Aligned columns under lower-case headings; columns that are empty throughout are left out.

    Args:
        header: The headings.
        rows: The cells; None is empty.
        right: Headings of columns that are aligned right.
    """
    cells = [["" if cell is None else joined(cell) for cell in row] for row in rows]
    kept = [place for place in range(len(header)) if any(row[place] for row in cells)]
    shown = [[row[place] for place in kept] for row in [list(header), *cells]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(kept))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, row in enumerate(shown):
        parts = [
            cell.rjust(width) if header[place] in right else cell.ljust(width)
            for cell, width, place in zip(row, widths, kept, strict=True)
        ]
        text = "  ".join(parts).rstrip()
        if limit is not None and len(text) > limit:
            text = text[: limit - 1] + "…"
        line(_coloured(text, row) if number else dim(text))


def pairs(values: Mapping[str, object], *, indent: str = "") -> None:
    """`name  value` lines, aligned; what is None is left out."""
    known = {name: value for name, value in values.items() if value is not None and value != ""}
    width = max((len(name) for name in known), default=0)
    for name, value in known.items():
        line(f"{indent}{dim(name.ljust(width))}  {joined(value)}")


def dim(text: str) -> str:
    """Less bright on a terminal."""
    return typer.style(text, dim=True) if _in_colour() else text


def state(word: str) -> str:
    """A state in its colour on a terminal."""
    return typer.style(word, fg=_COLOURS[word]) if word in _COLOURS and _in_colour() else word


def _coloured(text: str, row: Sequence[str]) -> str:
    word = next((cell for cell in row if cell in _COLOURS), None)
    return text if word is None else text.replace(word, state(word), 1)


def _in_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=str)
