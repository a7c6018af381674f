"""Cells of a workbook that hold an error, like `#DIV/0!`, which the reader of sheets gives as empty ones.

Seen in Office Open XML (.xlsx, .xlsm), where a cell says of itself that it holds one.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from typing import IO, Final
from xml.etree import ElementTree as ET

_MAIN: Final = "{*}"
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT: Final = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_CELL: Final = re.compile(r"([A-Z]+)([0-9]+)")
_MARK: Final = re.compile(rb"""\st\s*=\s*["']e["']""")
_PIECE: Final = 1 << 20
_OVERLAP: Final = 32


def faulty_cells(source: str | bytes, sheet: str) -> list[tuple[int, int, str]]:
    """The errors in the sheet: row, from 1; column, from 0; text.

    Raises:
        ValueError: The workbook's parts are not what they should be.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    if not zipfile.is_zipfile(file):
        return []
    try:
        with zipfile.ZipFile(file) as archive:
            part = _part(archive, sheet)
            if part is None:
                return []
            with archive.open(part) as stream:
                if not _marked(stream):
                    return []
            with archive.open(part) as stream:
                return _errors(stream)
    except (ET.ParseError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from error


def _part(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """Which file of the workbook holds the sheet; None where it is of another form."""
    if "xl/workbook.xml" not in archive.namelist():
        return None
    book = ET.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 - expat bounds what entities may grow to
    links = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    key = next(
        (
            each.get(_RELATION) or each.get(_STRICT)
            for each in book.iterfind(f".//{_MAIN}sheet")
            if each.get("name") == sheet
        ),
        None,
    )
    target = next((each.get("Target") for each in links if each.get("Id") == key), None)
    return None if key is None or target is None else posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")


def _marked(stream: IO[bytes]) -> bool:
    """Whether a cell may say that it is an error; most sheets have none, and need no second look."""
    tail = b""
    while piece := stream.read(_PIECE):
        if _MARK.search(tail + piece):
            return True
        tail = piece[-_OVERLAP:]
    return False


def _errors(stream: IO[bytes]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    row = 0
    for _, element in ET.iterparse(stream):  # noqa: S314
        if element.tag.rpartition("}")[2] != "row":
            continue
        row = int(element.get("r") or row + 1)
        column = -1
        for cell in element:
            named = _CELL.fullmatch(cell.get("r") or "")
            column = column + 1 if named is None else _number(named[1]) - 1
            if cell.get("t") == "e":
                found.append((row, column, cell.findtext(f"{_MAIN}v") or "#ERROR!"))
        element.clear()
    return found


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
