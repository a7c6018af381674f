"""Rows of a CSV file, each with the line where it begins.

The form is that of RFC 4180, with any delimiter: a value may be quoted, and quotes in it are doubled. What follows a
closing quote must be a delimiter or the end of the line; a quote within a bare value is a character like others.
Blank lines are no rows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

import polars as pl

from penstock.data.sources.csv_fast import whole_rows
from penstock.data.sources.decoding import text_blocks
from penstock.data.sources.delimiters import detected
from penstock.data.sources.faults import BadInput, counted, shown
from penstock.data.sources.header import column_names
from penstock.data.sources.opening import Opened
from penstock.data.sources.options import Options
from penstock.data.sources.table import Part, Table

LONGEST: Final = 16 * 2**20
"""Characters that a value may have: beyond that a quote was not closed."""
_SAMPLE: Final = 2**18
"""Characters that the delimiter is told from."""
_EXCELS: Final = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""Excel's own first line, which names the delimiter."""


def csv_table(opened: Opened, options: Options) -> Table:
    """The file's columns, and its rows when they are asked for. Raises `BadInput`."""
    if csv.field_size_limit() < LONGEST:
        csv.field_size_limit(LONGEST)  # one for the process; only ever raised
    blocks = text_blocks(opened.stream, opened.place, options.encoding)
    source = _Source(blocks, opened, options)
    names = source.read_header()
    return Table(place=opened.place, names=names, parts=source.parts(len(names)), text=True)


class _Source:
    """A text that is read from its front; `_line` is the number of the line that its rest begins with."""

    def __init__(self, blocks: Iterator[str], opened: Opened, options: Options) -> None:
        self._blocks, self._opened, self._options = blocks, opened, options
        self._rest, self._line = next(blocks, ""), 1
        self._delimiter = options.delimiter or ","

    def read_header(self) -> tuple[str | None, ...]:
        """The names of the columns; None for a column without one."""
        place, options = self._opened.place, self._options
        said = options.delimiter is not None
        if not said and (excels := _EXCELS.match(self._rest)):
            said, self._delimiter = True, excels[1]
            self._skip(1)
        self._skip((options.header or 1) - 1)
        while not self._rest.strip("\r\n"):
            if not self._more():
                what = "it has no rows" if self._line == 1 else f"it ends before line {self._line}"
                raise BadInput(place, f"{what}; fetch it again, or correct header=")
        if not said and self._opened.name.lower().endswith((".tsv", ".tab")):
            said, self._delimiter = True, "\t"
        if not said:
            sample = self._rest[:_SAMPLE]
            whole = len(sample) == len(self._rest) and not self._more()
            self._delimiter = detected(sample, whole=whole, quote=options.quote, place=place)
        if options.header is None:
            return column_names([], options, place, None)
        line = self._line
        while True:
            lines = _Lines(self._rest, 0)
            try:
                found = next(row for row in self._reader(lines) if row)
            except csv.Error as error:
                if lines.ended and self._more():
                    continue
                reason = f"the header is not well quoted ({error}); correct the file, or say quote="
                raise BadInput(place, reason, line=line) from error
            if lines.at == len(self._rest) and not lines.whole and self._more():
                continue
            break
        self._rest, self._line = self._rest[lines.at :], self._line + lines.count
        return column_names(found, options, place, line)

    def parts(self, width: int) -> Iterator[Part]:
        """The rows, some at once. Raises `BadInput` unless bad rows are put aside."""
        while True:
            more = self._more()
            if not self._rest:
                return
            cut = _cut(self._rest) if more else len(self._rest)
            block, kept = self._rest[:cut], self._rest[cut:]
            part, tail = self._block(block, width, final=not more)
            self._rest = tail + kept
            if part is not None:
                yield part

    def _block(self, block: str, width: int, *, final: bool) -> tuple[Part | None, str]:
        if not block:
            return None, ""
        frame = whole_rows(block, width, self._delimiter, self._options.quote)
        if frame is None:
            return self._row_by_row(block, width, final=final)
        begin, self._line = self._line, self._line + frame.height
        return Part(frame=frame, lines=pl.int_range(begin, self._line, dtype=pl.Int64, eager=True)), ""

    def _row_by_row(self, block: str, width: int, *, final: bool) -> tuple[Part | None, str]:
        rows: list[list[str]] = []
        numbers: list[int] = []
        first, nul = self._line, "\0" in block
        lines = _Lines(block, 0)
        reader = self._reader(lines)
        tail = ""
        while True:
            begin, line = lines.at, first + lines.count
            try:
                row = next(reader, None)
            except csv.Error as error:
                if lines.ended and not final and len(block) - begin < LONGEST:
                    tail, self._line = block[begin:], line
                    break
                raw = io.StringIO(block[begin:], newline="").readline()
                why = (
                    "a quote that opens here is not closed"
                    if lines.ended or lines.at - begin > len(raw)
                    else str(error)
                )
                self._bad(line, f"not well quoted ({why})", [raw.rstrip("\r\n")])
                lines = _Lines(block, begin + len(raw), line - first + 1)
                reader = self._reader(lines)
                continue
            if row is None:
                self._line = first + lines.count
                break
            if not row:
                continue
            if len(row) != width:
                reason = f"it has {counted(len(row), 'value')} where the header has {counted(width, 'column')}"
                self._bad(line, reason, row)
            elif nul and any("\0" in value for value in row):
                self._bad(line, f"it holds a NUL character in {shown(next(v for v in row if chr(0) in v))}", row)
            else:
                rows.append(row)
                numbers.append(line)
        if not rows:
            return None, tail
        columns = [pl.Series(str(at), values, dtype=pl.String) for at, values in enumerate(zip(*rows, strict=True))]
        return Part(frame=pl.DataFrame(columns), lines=pl.Series(numbers, dtype=pl.Int64)), tail

    def _bad(self, line: int, reason: str, row: list[str]) -> None:
        self._options.fault(self._opened.place, line, reason, values=row)

    def _reader(self, lines: _Lines) -> Iterator[list[str]]:
        quote, delimiter = self._options.quote, self._delimiter
        if quote is None:
            return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
        return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)

    def _skip(self, count: int) -> None:
        for _ in range(count):
            line = io.StringIO(self._rest, newline="").readline()
            while not line.endswith("\n") and self._more():
                line = io.StringIO(self._rest, newline="").readline()
            self._rest = self._rest[len(line) :]
            self._line += 1

    def _more(self) -> bool:
        """Whether there was another block, which is now part of the rest."""
        block = next(self._blocks, None)
        if block is None:
            return False
        self._rest += block
        return True


class _Lines:
    """Lines of a text for `csv.reader`; how far it has come, and whether it asked for one too many."""

    def __init__(self, text: str, at: int, count: int = 0) -> None:
        self._stream = io.StringIO(text, newline="")
        self._stream.seek(at)
        self.at, self.count, self.ended, self.whole = at, count, False, True

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            self.ended = True
            raise StopIteration
        self.at += len(line)
        self.count += 1
        self.whole = line.endswith("\n")
        return line


def _cut(text: str) -> int:
    """Where the last line that is surely whole ends."""
    at = text.rfind("\n")
    return at + 1 if at >= 0 else text.rfind("\r", 0, len(text) - 1) + 1
