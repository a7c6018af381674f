"""`read` and `read_batches`: a file as a frame, whole or some rows at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Generator, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from typing_extensions import Unpack

from penstock.data.sources.faults import BadRow
from penstock.data.sources.opening import Format, Opened, opened
from penstock.data.sources.options import Options, checked
from penstock.data.threads import in_thread
from penstock.definition.context import running
from penstock.model.errors import DefinitionError, SettingError

if TYPE_CHECKING:
    import polars as pl

    from penstock.data.sources.table import Table

_ROWS: Final = 50_000


class Reading(TypedDict, total=False):
    """What may be said of a file; see `read`."""

    sheet: str | int | None
    member: str | None
    schema: Any
    formats: Mapping[str, str] | None
    format: Format | None
    encoding: str | None
    delimiter: str | None
    quote: str | None
    header: int | None
    names: Sequence[str] | None
    nulls: Collection[str] | None
    line: str | None
    bad: list[BadRow] | None
    limit: int | None


async def read(path: Path | str, **said: Unpack[Reading]) -> pl.DataFrame:
    """A CSV, JSON, Parquet or Excel file as a frame: packed with gzip or not, alone or in a zip.

    What the file is, its encoding and its delimiter are found by its content. Nothing is guessed about values: those of
    CSV stay text, those of the other formats have the types that the file gives them, and what is nested in JSON stays
    JSON. Nothing is lost in silence either: a row that does not fit is an error which names it, or goes to `bad`.
    In a step, rows and bytes are counted.

    Args:
        path: The file.
        sheet: The sheet of a workbook: its name, or its number from 1; needed where there are several.
        member: The file within a zip; needed where there are several.
        schema: Polars types by column (also a schema of dataframely): a value that is none of its type is an error,
            columns without a type stay as they are. `"text"`: every value as text. `"infer"`: CSV's columns become
            whole numbers, numbers, booleans, dates or times where all their values are.
        formats: How dates and times of columns in `schema` are written, as `strftime` says it (`"%d-%m-%Y"`); ISO 8601
            by default.
        format: What the file is, where it should not be found by its content.
        encoding: Of a text. By default its byte order mark decides, then whether it is UTF-8, else Windows-1252.
        delimiter: Of CSV; by default the one of comma, semicolon, tab and bar that gives rows of equal width.
        quote: CSV's quote character; None where nothing is quoted.
        header: The line (row of a sheet) that names the columns, from 1; None where there is none. What is above it is
            passed over.
        names: The columns' names, instead of the header's.
        nulls: Texts that stand for no value; by default, in CSV, the empty one.
        line: The name of a first column to be added, with the line of the file where each row begins: a sheet's row, an
            item's number in a JSON list, a row's number in Parquet.
        bad: A list; rows that do not fit are put there, with the reason, instead of failing the whole.
        limit: Bytes that a packed file may unpack to, 4 GiB by default, and then not more than 250 times its size.

    Raises:
        InvalidData: The file is not what it should be; the message names file, member or sheet, line, column, value.
        StepError: The disk failed.
        DefinitionError: An argument is wrong.
        SettingError: `penstock[data]` is not installed.
    """
    import polars as pl

    frames = [frame async for frame in _frames(Path(path), _options(said), None)]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical")


async def read_batches(path: Path | str, *, rows: int = _ROWS, **said: Unpack[Reading]) -> AsyncGenerator[pl.DataFrame]:
    """What `read` gives, at most `rows` rows at a time, so that a file may be larger than memory.

    All frames have the same columns and types. Those of JSON are taken from the first `rows` rows, so `schema` is the
    better way there; `schema="infer"` needs the whole file. A workbook is read whole and handed out in parts.
    """
    options = _options(said)
    if rows < 1:
        raise DefinitionError(f"rows={rows} is no number of rows")
    if options.schema == "infer":
        raise DefinitionError("schema='infer' looks at all rows of a file; use read, or say what the columns are")
    frames = _frames(Path(path), options, rows)
    try:
        async for frame in frames:
            yield frame
    finally:
        await frames.aclose()


def _options(said: Reading) -> Options:
    if missing := [package for package in ("polars", "fastexcel") if find_spec(package) is None]:
        raise SettingError(f"data.read needs {' and '.join(missing)}: pip install 'penstock[data]'.")
    return checked(
        sheet=said.get("sheet"),
        member=said.get("member"),
        schema=said.get("schema"),
        formats=said.get("formats"),
        format=said.get("format"),
        encoding=said.get("encoding"),
        delimiter=said.get("delimiter"),
        quote=said.get("quote", '"'),
        header=said.get("header", 1),
        names=said.get("names"),
        nulls=said.get("nulls"),
        line=said.get("line"),
        bad=said.get("bad"),
        limit=said.get("limit"),
    )


async def _frames(path: Path, options: Options, rows: int | None) -> AsyncGenerator[pl.DataFrame]:
    """The frames, each made in a thread; rows and bytes counted for the running step."""
    seen = 0 if options.bad is None else len(options.bad)
    source = _read(path, options, rows)
    context = running()
    try:
        while (step := await in_thread(next, source, None)) is not None:
            frame, stored = step
            failed = 0 if options.bad is None else len(options.bad) - seen
            if options.bad is not None and failed:
                options.bad[seen:] = sorted(options.bad[seen:], key=lambda row: row.line)
            seen += failed
            if context is not None:
                context.count(read=frame.height + failed, failed=failed, bytes=stored)
            yield frame
    finally:
        source.close()


def _read(path: Path, options: Options, rows: int | None) -> Generator[tuple[pl.DataFrame, int]]:
    """Frames, and with the first one the file's bytes."""
    from penstock.data.sources.finishing import finished

    with opened(path, member=options.member, format=options.format, limit=options.limit) as file:
        stored = file.stored
        for frame in chain.from_iterable(
            _sliced(frame, rows) for frame in finished(_table(file, options, rows), options)
        ):
            yield frame, stored
            stored = 0


def _table(file: Opened, options: Options, rows: int | None) -> Table:
    options.check_for(file.format, file.place)
    match file.format:
        case "csv":
            from penstock.data.sources.csv_rows import csv_table

            return csv_table(file, options)
        case "json":
            from penstock.data.sources.json_rows import json_table

            return json_table(file, options, rows)
        case "parquet":
            from penstock.data.sources.parquet import parquet_table

            return parquet_table(file, options, rows)
        case "excel":
            from penstock.data.sources.excel import excel_table

            return excel_table(file, options)


def _sliced(frame: pl.DataFrame, rows: int | None) -> Iterator[pl.DataFrame]:
    if rows is None or frame.height <= rows:
        yield frame
    else:
        yield from frame.iter_slices(rows)
