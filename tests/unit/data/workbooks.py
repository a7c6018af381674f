"""Workbooks written by hand, so that a test says exactly what stands in each cell."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

Cell = str | int | float | bool | date | None
Rows = Sequence[Sequence[Cell]]

MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


class Fault(str):
    """An error in a cell, like `#DIV/0!`."""

    __slots__ = ()


def workbook(path: Path, sheets: Mapping[str, Rows], *, at: tuple[int, int] = (1, 1)) -> Path:
    """Write the sheets, each from a cell on, given as row and column counted from 1."""
    names = list(sheets)
    entries = "".join(f'<sheet name="{escape(n)}" sheetId="{i}" r:id="rId{i}"/>' for i, n in enumerate(names, 1))
    links = "".join(
        f'<Relationship Id="rId{i}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{i}.xml"/>'
        for i in range(1, len(names) + 1)
    )
    styles = f'<Relationship Id="rId99" Type="{RELATIONS}/styles" Target="styles.xml"/>'
    office = f'<Relationship Id="rId1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'{HEAD}<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
            f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels", f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{office}</Relationships>'
        )
        archive.writestr(
            "xl/workbook.xml",
            f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{entries}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{links}{styles}</Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'{HEAD}<styleSheet xmlns="{MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/>'
            "</cellXfs></styleSheet>",
        )
        for number, name in enumerate(names, 1):
            rows = "".join(_row(cells, at[0] + i, at[1]) for i, cells in enumerate(sheets[name]))
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>',
            )
    return path


def _row(cells: Sequence[Cell], row: int, column: int) -> str:
    written = "".join(_cell(cell, f"{chr(64 + column + i)}{row}") for i, cell in enumerate(cells) if cell is not None)
    return f'<row r="{row}">{written}</row>'


def _cell(cell: Cell, at: str) -> str:
    match cell:
        case Fault():
            return f'<c r="{at}" t="e"><v>{cell}</v></c>'
        case bool():
            return f'<c r="{at}" t="b"><v>{int(cell)}</v></c>'
        case datetime() | date():
            moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
            days = (moment - datetime.combine(date(1899, 12, 30), time())).total_seconds() / 86_400
            return f'<c r="{at}" s="{2 if isinstance(cell, datetime) else 1}"><v>{days!r}</v></c>'
        case str():
            return f'<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
        case _:
            return f'<c r="{at}"><v>{cell!r}</v></c>'
