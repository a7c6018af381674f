"""Rows as the caller wants them: nulls, types, the number of the row; what does not fit is named."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

import polars as pl

from penstock.data.sources.casting import converted, inferred, typed
from penstock.data.sources.faults import BadInput, shown
from penstock.data.sources.options import Options
from penstock.data.sources.table import Part, Table

_ADVICE: Final[dict[type[pl.DataType], str]] = {
    pl.Date: "; other ways to write a date than 2024-12-23 are said with formats=",
    pl.Datetime: "; other ways to write a time than 2024-12-23T06:00:00 are said with formats=",
}


def finished(table: Table, options: Options) -> Iterator[pl.DataFrame]:
    """The table's frames. Raises `BadInput`, which names the first row of a part that does not fit."""
    _check_schema(table, options)
    came = False
    for part in _whole(table.parts) if options.schema == "infer" else table.parts:
        came = True
        yield _finish(part, table, options)
    if not came:
        frame = pl.DataFrame(schema={str(at): pl.String for at in range(len(table.names))})
        yield _finish(Part(frame=frame, lines=pl.Series([], dtype=pl.Int64)), table, options)


def _whole(parts: Iterator[Part]) -> Iterator[Part]:
    """All rows at once: what a column is can only be told from all of them."""
    found = list(parts)
    if found:
        yield Part(frame=pl.concat([part.frame for part in found]), lines=pl.concat([part.lines for part in found]))


def _check_schema(table: Table, options: Options) -> None:
    if options.schema is None or isinstance(options.schema, str):
        return
    names = [name for name in table.names if name is not None]
    lost = [name for name in options.schema if name not in names]
    if lost:
        hints = [
            f"{name!r}" + "".join(f" (is it {near!r}?)" for near in get_close_matches(name, names, 1)) for name in lost
        ]
        has = ", ".join(map(repr, names))
        raise BadInput(
            table.place, f"it lacks what schema= names: {', '.join(hints)}; its columns are {has}", column=lost[0]
        )


def _finish(part: Part, table: Table, options: Options) -> pl.DataFrame:
    frame, lines, place = part.frame, part.lines, table.place
    nulls = options.nulls if options.nulls is not None else ("",) if table.text else ()
    if nulls:
        texts = pl.col(pl.String)
        frame = frame.with_columns(pl.when(texts.is_in(nulls)).then(None).otherwise(texts).name.keep())
    columns: list[pl.Series] = []
    wrong: list[tuple[pl.Series, str, str]] = []
    for at, name in enumerate(table.names):
        values = frame.to_series(at)
        if name is None:
            stray = values.is_not_null() & (values != "") if values.dtype == pl.String else values.is_not_null()
            if stray.any():
                wrong.append(
                    (stray, f"column {at + 1}", "stands in a column without a name; give names= for all columns")
                )
            continue
        fit, why = _fit(values, name, options, text=table.text)
        columns.append(fit.rename(name))
        lost = fit.is_null() & values.is_not_null()
        if lost.any():
            wrong.append((lost, name, why))
    result = pl.DataFrame(columns, height=frame.height)
    if options.line is not None:
        result = result.insert_column(0, lines.rename(options.line))
    if not wrong:
        return result
    left_out = pl.Series([False]).new_from_index(0, frame.height)
    for mask, _, _ in wrong:
        left_out |= mask
    for row in left_out.arg_true().to_list():
        mask, name, why = next(each for each in wrong if each[0][row])
        received = frame.row(row)
        value = received[table.names.index(name)] if name in table.names else received[int(name.split()[1]) - 1]
        options.fault(place, lines[row], f"{shown(value)} {why}", column=name, value=value, values=received)
    return result.filter(~left_out)


def _fit(values: pl.Series, name: str, options: Options, *, text: bool) -> tuple[pl.Series, str]:
    """The values as they are wanted, and what is said of those that are lost."""
    match options.schema:
        case None:
            return values, ""
        case "infer":
            return (inferred(values) if text else values), ""
        case "text":
            return (values if values.dtype == pl.String else _as_text(values)), "has no text"
        case schema:
            dtype = schema.get(name)
            if dtype is None:
                return values, ""
            pattern = options.formats.get(name)
            fit = typed(values, dtype, pattern) if values.dtype == pl.String else converted(values, dtype)
            return fit, f"is no {dtype}{_ADVICE.get(type(dtype), '')}"


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype.is_nested():
        return pl.DataFrame({"v": values.alias("v")}).select(pl.col("v").map_elements(_json, pl.String)).to_series()
    return converted(values, pl.String())


def _json(value: object) -> str:
    import json

    plain = value.to_list() if isinstance(value, pl.Series) else value
    return json.dumps(plain, ensure_ascii=False, default=str)
