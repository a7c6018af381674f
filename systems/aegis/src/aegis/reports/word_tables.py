"""The tables of a report in Word: light rules, a head that is repeated on every page, no row torn in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aegis.reports.word_styles import ACCENT, CELL, FACT, HEAD, RULE
from aegis.reports.word_xml import clean, element, styled

Fill = Callable[[Any], None]
"""Writes into a cell."""


def table(document: Any, widths: Sequence[float], head: Sequence[str], rows: Sequence[Sequence[str | Fill]]) -> Any:
    """A table with columns of these widths (inches); a cell is its text, or a function that fills it."""
    made = _empty(document, len(rows) + bool(head), widths)
    if head:
        for cell, text in zip(made.rows[0].cells, head, strict=True):
            _write(cell, text, HEAD)
            _shade(cell, ACCENT)
        made.rows[0]._tr.get_or_add_trPr().append(element("tblHeader"))  # noqa: SLF001
    for row, content in zip(made.rows[bool(head) :], rows, strict=True):
        row._tr.get_or_add_trPr().insert(0, element("cantSplit"))  # noqa: SLF001
        for cell, filled in zip(row.cells, content, strict=True):
            if isinstance(filled, str):
                _write(cell, filled, CELL)
            else:
                filled(cell)
    return made


def facts(document: Any, rows: Sequence[tuple[str, str]]) -> None:
    """The title block's facts: a name and what it is, a line each."""
    made = _empty(document, len(rows), (1.45, 5.05))
    for row, (name, value) in zip(made.rows, rows, strict=True):
        _write(row.cells[0], name, FACT).runs[0].bold = True
        _write(row.cells[1], value, FACT)


def group(made: Any, at: int, text: str) -> None:
    """Turns a row into a heading of the rows below it."""
    row = made.rows[at]
    merged = row.cells[0].merge(row.cells[-1])
    merged.paragraphs[0].text = ""
    _write(merged, text, CELL).runs[0].bold = True
    for extra in merged.paragraphs[1:]:
        extra._p.getparent().remove(extra._p)  # noqa: SLF001
    merged.paragraphs[0].paragraph_format.keep_with_next = True
    _shade(merged, "EAF0F6")


def paragraph_in(cell: Any, style: str) -> Any:
    """A new paragraph of a cell; the first one is the cell's own."""
    first = cell.paragraphs[0]
    if not first.runs and len(first._p) <= 1 and len(cell.paragraphs) == 1:  # noqa: SLF001
        return styled(first, style)
    return styled(cell.add_paragraph(), style)


def _empty(document: Any, rows: int, widths: Sequence[float]) -> Any:
    from docx.enum.table import WD_TABLE_ALIGNMENT
    from docx.shared import Inches

    made = document.add_table(rows=rows, cols=len(widths))
    made.alignment = WD_TABLE_ALIGNMENT.LEFT
    made.autofit = False
    properties = made._tbl.tblPr  # noqa: SLF001
    lines = [element(side, val="single", sz="4", space="0", color=RULE) for side in ("top", "bottom", "insideH")]
    properties.append(element("tblBorders", *lines))
    space = [
        element(side, w=str(width), type="dxa")
        for side, width in (("top", 40), ("left", 80), ("bottom", 40), ("right", 80))
    ]
    properties.append(element("tblCellMar", *space))
    for column, width in zip(made.columns, widths, strict=True):
        column.width = Inches(width)
        for cell in column.cells:
            cell.width = Inches(width)
    return made


def _write(cell: Any, text: str, style: str) -> Any:
    paragraph = styled(cell.paragraphs[0], style)
    paragraph.add_run(clean(text))
    return paragraph


def _shade(cell: Any, fill: str) -> None:
    cell._tc.get_or_add_tcPr().append(element("shd", val="clear", color="auto", fill=fill))  # noqa: SLF001
