"""Rows of JSON: a list of objects, one object after another (NDJSON), or one object alone.

Objects become rows. What is nested in them stays JSON, as text, so that nothing is lost to a shape that does not hold
for all rows. An item is taken off the front of the text as soon as it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import polars as pl

from penstock.data.sources.decoding import text_blocks
from penstock.data.sources.faults import BadInput, shown
from penstock.data.sources.header import column_names
from penstock.data.sources.json_columns import Fraction, column
from penstock.data.sources.opening import Opened
from penstock.data.sources.options import Options
from penstock.data.sources.table import Part, Table

LONGEST: Final = 64 * 2**20
"""Characters that an item may have."""
_BLANK: Final = " \t\r\n"
_CUT: Final = 16
"""Characters before the end of a text where a fault may only mean that the text goes on."""

Row = dict[str, Any]


def json_table(opened: Opened, options: Options, rows: int | None) -> Table:
    """The columns, which are the keys of all rows, or of the first `rows`, and the rows. Raises `BadInput`."""
    items = _Items(opened, options)
    found = items.rows()
    first = _take(found, rows)
    if not first and not items.bad:
        raise BadInput(opened.place, "it holds no object; fetch it again, or say NoData where nothing was expected")
    names = column_names(list(dict.fromkeys(key for _, row in first for key in row)), options, items.place, None)
    known = [name for name in names if name is not None]
    if len(known) != len(names):
        raise BadInput(items.place, "a key is empty, which no column can be named; correct the file")

    def parts() -> Iterator[Part]:
        taken, types = first, dict[str, pl.DataType]()
        while taken:
            kept = [(line, row) for line, row in taken if items.fits(line, row, known)]
            lines = [line for line, _ in kept]
            columns = [column(name, [row.get(name) for _, row in kept], lines, options, items.place) for name in known]
            if rows is not None:
                columns = [_known(each, types.get(each.name)) for each in columns]
            for each in columns:
                if types.setdefault(each.name, each.dtype) != each.dtype:
                    reason = f"holds {each.dtype} where rows before it have {types[each.name]}; give schema="
                    raise BadInput(items.place, reason, line=lines[0], column=each.name)
            yield Part(frame=pl.DataFrame(columns, height=len(kept)), lines=pl.Series(lines, dtype=pl.Int64))
            taken = _take(found, rows) if rows is not None else []

    return Table(place=items.place, names=names, parts=parts(), text=False)


def _known(values: pl.Series, dtype: pl.DataType | None) -> pl.Series:
    """Nulls alone are of the type that the column has; of texts, where it has none yet."""
    return values.cast(dtype or pl.String) if values.dtype == pl.Null else values


def _take(found: Iterator[tuple[int, Row]], rows: int | None) -> list[tuple[int, Row]]:
    if rows is None:
        return list(found)
    return [row for _, row in zip(range(rows), found, strict=False)]


class _Items:
    """The objects of a text, each with its line, or with its number in a list."""

    def __init__(self, opened: Opened, options: Options) -> None:
        self._blocks = text_blocks(opened.stream, opened.place, options.encoding)
        self._options, self.place, self.bad = options, opened.place, False
        self._text, self._at, self._line, self._over = "", 0, 1, False
        decoder = json.JSONDecoder(object_pairs_hook=_once, parse_float=Fraction, parse_constant=_no_number)
        self._decode: Callable[[str, int], tuple[Any, int]] = decoder.raw_decode

    def rows(self) -> Iterator[tuple[int, Row]]:
        """The objects. Raises `BadInput`."""
        if self._front() != "[":
            yield from self._one_by_one()
            return
        self.place = replace(self.place, row="item")
        self._at += 1
        yield from self._listed()
        if self._front():
            raise BadInput(
                self.place, f"there is more after the end of its list, in line {self._line}; correct the file"
            )

    def fits(self, number: int, row: Row, known: list[str]) -> bool:
        """Whether the row has no other keys than the first ones had."""
        other = next((key for key in row if key not in known), None)
        if other is None:
            return True
        reason = "is in none of the rows that the columns were taken from; read more rows at once, or give schema="
        self._fault(number, reason, column=other, values=[_shortly(row)])
        return False

    def _one_by_one(self) -> Iterator[tuple[int, Row]]:
        while self._front():
            line, begin = self._line, self._at
            try:
                value = self._value()
            except (ValueError, RecursionError) as error:
                self._to_next_line(begin)
                self._fault(line, f"is no JSON ({_plainly(error)})", values=[])
                continue
            rest, _, _ = self._text[self._at : self._at + LONGEST].partition("\n")
            if rest.strip(_BLANK):
                self._to_next_line(self._at)
                self._fault(line, f"there is more after its object: {shown(rest.strip())}", values=[_shortly(value)])
            elif isinstance(value, dict):
                yield line, value
            else:
                self._fault(line, f"it is {_kind(value)}, not an object", values=[_shortly(value)])

    def _listed(self) -> Iterator[tuple[int, Row]]:
        number = 0
        while (front := self._front()) != "]" or number:
            if number:
                if front == "]":
                    break
                if front != ",":
                    what = f"{front!r} follows" if front else "the file is cut short"
                    raise BadInput(self.place, f"{what} where ',' or ']' should; fetch it again", line=number)
                self._at += 1
                self._front()
            number += 1
            try:
                value = self._value()
            except (ValueError, RecursionError) as error:
                reason = f"is no JSON ({_plainly(error)}, in line {self._line}); fetch it again, or correct the file"
                raise BadInput(self.place, reason, line=number) from error
            if isinstance(value, dict):
                yield number, value
            else:
                self._fault(number, f"it is {_kind(value)}, not an object", values=[_shortly(value)])
        self._at += 1

    def _fault(self, line: int, reason: str, *, column: str | None = None, values: list[Any]) -> None:
        self.bad = True
        self._options.fault(self.place, line, reason, column=column, values=values)

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                goes_on = error.pos >= len(self._text) - _CUT or error.msg.startswith("Unterminated string")
                if goes_on and len(self._text) - self._at < LONGEST and self._more():
                    continue
                raise
            if end == len(self._text) and self._text[end - 1] not in "}]" and self._more():
                continue
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            return value

    def _to_next_line(self, begin: int) -> None:
        self._at = begin
        while (end := self._text.find("\n", begin)) < 0:
            if not self._more():
                self._at = len(self._text)
                return
            begin = self._at
        self._at, self._line = end + 1, self._line + 1

    def _front(self) -> str:
        """The next character that is no blank; none at the end."""
        while True:
            while self._at < len(self._text):
                here = self._text[self._at]
                if here not in _BLANK:
                    return here
                self._line += here == "\n"
                self._at += 1
            if not self._more():
                return ""

    def _more(self) -> bool:
        block = None if self._over else next(self._blocks, None)
        if block is None:
            self._over = True
            return False
        self._text, self._at = self._text[self._at :] + block, 0
        return True


def _once(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return row


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _plainly(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "null" if value is None else f"the single value {shown(value)}"


def _shortly(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
