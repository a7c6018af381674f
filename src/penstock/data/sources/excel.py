"""Rows of one sheet of a workbook, numbered as the sheet numbers them. Rows without any value are no rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import polars as pl

from penstock.data.sources.excel_faults import faulty_cells
from penstock.data.sources.faults import BadInput, Place
from penstock.data.sources.header import column_names
from penstock.data.sources.opening import Opened
from penstock.data.sources.options import Options
from penstock.data.sources.table import Part, Table
from penstock.model.spelling import did_you_mean

_NAMED: Final = 10


def excel_table(opened: Opened, options: Options) -> Table:
    """The sheet's columns and rows. Raises `BadInput`."""
    import fastexcel

    try:
        source = str(opened.place.path) if opened.plain else opened.stream.read()
        reader: Any = fastexcel.read_excel(source)
        sheet = _chosen(reader.sheet_names, options.sheet, opened.place)
        place = replace(opened.place, sheet=sheet, row="row")
        as_text = reader.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        texts: pl.DataFrame = as_text.to_polars()
        begin = options.header or 0
        if texts.is_empty():
            raise BadInput(place, "the sheet is empty; say which one is meant: sheet=")
        if texts.height < begin:
            raise BadInput(place, f"it ends in row {texts.height}, before its header; correct header=")
        found = texts.row(begin - 1) if begin else ()
        names = column_names(found, options, place, begin or None)
        if len(names) != texts.width:
            reason = f"names= has {len(names)} names where the sheet has {texts.width} columns; correct names="
            raise BadInput(place, reason)
        own: pl.DataFrame = reader.load_sheet(
            sheet, header_row=None, skip_rows=begin, schema_sample_rows=None
        ).to_polars()
        # A sheet is read from its first column that is used.
        offset: int = as_text.available_columns()[0].absolute_index
        faults = [(row, at - offset, text) for row, at, text in faulty_cells(source, sheet)]
    except (fastexcel.FastExcelError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(opened.place, f"not a readable workbook ({reason}); fetch it again") from error
    rows = texts.slice(begin)
    filled = rows.select(pl.any_horizontal(pl.all().is_not_null() & (pl.all() != ""))).to_series()
    lines = pl.int_range(begin + 1, texts.height + 1, dtype=pl.Int64, eager=True)
    first_of_row = {row: (at, text) for row, at, text in reversed(faults) if row > begin}
    for line, (at, text) in sorted(first_of_row.items()):
        column = names[at] or f"column {at + 1}"
        options.fault(
            place, line, f"{text!r} is an error, not a value", column=column, value=text, values=texts.row(line - 1)
        )
        filled &= lines != line
    part = Part(frame=_values(rows, own, names, options).filter(filled), lines=lines.filter(filled))
    return Table(place=place, names=names, parts=iter([part]), text=False)


def _values(texts: pl.DataFrame, own: pl.DataFrame, names: tuple[str | None, ...], options: Options) -> pl.DataFrame:
    """The cells as their own types; as texts where the caller types them."""
    schema = options.schema
    if schema == "text" or own.shape != texts.shape:  # without rows, or with none that are filled, there are no types
        return texts
    wanted = set[str]() if schema is None or isinstance(schema, str) else set(schema)
    return pl.DataFrame(
        [(texts if name in wanted else own).to_series(at).rename(str(at)) for at, name in enumerate(names)]
    )


def _chosen(names: list[str], wanted: str | int | None, place: Place) -> str:
    """The sheet of this name or number, or the only one."""
    some = ", ".join(repr(name) for name in names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    match wanted:
        case None if len(names) == 1:
            return names[0]
        case None:
            raise BadInput(place, f"the workbook has {len(names)} sheets ({some}); say which: sheet=")
        case int():
            if wanted <= len(names):
                return names[wanted - 1]
            raise BadInput(place, f"there is no sheet {wanted}; the workbook has {len(names)} ({some})")
        case str():
            if wanted in names:
                return wanted
            hint = did_you_mean(wanted, names, otherwise=f"; it has {some}", quoted=True)
            raise BadInput(place, f"there is no sheet {wanted!r}{hint}")
