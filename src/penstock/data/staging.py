"""COPY into a temporary table of the target's types; what does not fit is named by column, value and row."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import uuid4

import polars as pl
import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row, tuple_row

from penstock.data.encoding import SLICE, encode, frame_of
from penstock.data.tables import Table
from penstock.model.errors import InvalidData
from penstock.model.redaction import redact
from penstock.model.spelling import did_you_mean

Rows: TypeAlias = (
    pl.DataFrame
    | pl.LazyFrame
    | Iterable[Mapping[str, Any]]
    | Iterable[pl.DataFrame]
    | AsyncIterable[pl.DataFrame]
    | AsyncIterable[Sequence[Mapping[str, Any]]]
)
_PLACE = re.compile(
    r"^COPY [^\n]+?, line (\d+)(?:, column ([^\n]+?)(?:: (?:\"(.*)\"|null input))?)?(?:\nSQL|\Z)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Rows that were copied into a temporary table.

    Attributes:
        name: The table's name, quoted.
        columns: Its columns, in the order of the rows'.
        rows: How many.
    """

    name: sql.Composable
    columns: Sequence[str]
    rows: int


@asynccontextmanager
async def staged(
    connection: AsyncConnection[Any], rows: Rows, into: Table, key: Sequence[str]
) -> AsyncGenerator[Staged]:
    """A temporary table that holds the rows for this block; whether a key comes twice is for `once_each` to say.

    Raises:
        InvalidData: A column that the table has not, or lacks; a value that does not fit; a key that is null.
    """
    name = sql.Identifier("pg_temp", f"penstock_load_{uuid4().hex[:12]}")
    frames = _frames(rows, into)
    first = await anext(frames, None)
    columns = list(first.columns) if first is not None else []
    check_columns(into, columns)
    if first is None or not columns:
        yield Staged(name=name, columns=(), rows=0)
        return
    if lacking := [one for one in key if one not in columns]:
        raise InvalidData(f"{into.written}: the rows lack {', '.join(lacking)} of the key ({', '.join(key)}).")
    picked = sql.SQL(", ").join(map(sql.Identifier, columns))
    await connection.execute(
        sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
            name, picked, into.identifier
        )
    )
    number = await _copied(connection, name, (first, frames), into, key)
    yield Staged(name=name, columns=columns, rows=number)
    await connection.execute(sql.SQL("drop table {}").format(name))


async def appended(connection: AsyncConnection[Any], rows: Rows, into: Table) -> int:
    """COPY straight into the table; how many rows it was.

    Raises:
        InvalidData: A column that the table has not, or lacks; a value that does not fit; a constraint that says no.
    """
    frames = _frames(rows, into)
    first = await anext(frames, None)
    check_columns(into, list(first.columns) if first is not None else [])
    if first is None or not first.columns:
        return 0
    return await _copied(connection, into.identifier, (first, frames), into, ())


async def _copied(
    connection: AsyncConnection[Any],
    name: sql.Composable,
    rows: tuple[pl.DataFrame, AsyncIterator[pl.DataFrame]],
    into: Table,
    key: Sequence[str],
) -> int:
    """COPY the first frame and those that come after it; how many rows it was."""
    first, frames = rows
    number, columns = 0, list(first.columns)
    kinds = {name: into.columns[name] for name in columns}
    needed = [one for one in columns if into.columns[one].not_null or one in key]
    copy = sql.SQL("copy {} ({}) from stdin with (format text, encoding 'UTF8')").format(
        name, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with fitting(into):
        async with connection.cursor().copy(copy) as target:
            frame: pl.DataFrame | None = first
            while frame is not None:
                if frame.columns != columns:
                    frame = _same(frame, columns, into, number)
                for part in frame.iter_slices(SLICE):
                    _no_nulls(part, needed, into, number)
                    await target.write(await asyncio.to_thread(encode, part, kinds, into.written, number))
                    number += part.height
                frame = await anext(frames, None)
    return number


def _same(frame: pl.DataFrame, columns: Sequence[str], into: Table, before: int) -> pl.DataFrame:
    if set(frame.columns) != set(columns):
        raise InvalidData(
            f"{into.written}: the frame from row {before + 1:,} on has other columns than the first: "
            f"{', '.join(frame.columns)} instead of {', '.join(columns)}. Nothing was loaded."
        )
    return frame.select(columns)


def _no_nulls(frame: pl.DataFrame, needed: Sequence[str], into: Table, before: int) -> None:
    for name in needed:
        if frame[name].null_count():
            at = frame[name].is_null().arg_true()
            raise InvalidData(
                f"{into.written}: row {before + at[0] + 1:,} has no {name}, where none may be missing "
                f"({len(at):,} such rows). Nothing was loaded."
            )


async def once_each(connection: AsyncConnection[Any], name: sql.Composable, key: Sequence[str], into: Table) -> None:
    """Refuse a key that comes twice.

    Raises:
        InvalidData: It names the key and its rows.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, key))
    twice = await connection.execute(
        sql.SQL("select from {} group by {} having count(*) > 1 limit 1").format(name, names)
    )
    if await twice.fetchone() is None:
        return
    found = connection.cursor(row_factory=dict_row)
    await found.execute(
        sql.SQL(
            'select {0}, array_agg("~row" order by "~row") as "~rows", count(*) over () as "~keys" from ('
            'select {0}, row_number() over (order by ctid) as "~row" from {1}) as counted '
            'group by {0} having count(*) > 1 order by min("~row") limit 1'
        ).format(names, name)
    )
    row = await found.fetchone()
    if row is None:  # pragma: no cover - it was there a statement ago, in a table of our own
        return
    shown = ", ".join(f"{one}={row[one]}" for one in key)
    places = [f"{number:,}" for number in row["~rows"][:5]]
    raise InvalidData(
        redact(
            f"{into.written}: rows {', '.join(places[:-1])} and {places[-1]} have the same key, {shown} "
            f"({row['~keys']:,} keys come more than once). Nothing was loaded."
        )
    )


async def no_null_keys(connection: AsyncConnection[Any], name: sql.Composable, key: Sequence[str], into: Table) -> None:
    """Refuse a key that is null.

    Raises:
        InvalidData: It names the column and how many rows lack it.
    """
    for one in key:
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(sql.SQL("select count(*) from {} where {} is null").format(name, sql.Identifier(one)))
        (number,) = await cursor.fetchone() or (0,)
        if number:
            raise InvalidData(
                f"{into.written}: {number:,} rows have no {one}, which is of the key. Nothing was loaded."
            )


def check_columns(into: Table, columns: Sequence[str]) -> None:
    """Refuse columns that the table has not, that take no value, or that it lacks.

    Raises:
        InvalidData: It names all of them.
    """
    unknown = [name for name in columns if name not in into.columns]
    if unknown:
        hint = did_you_mean(unknown[0], into.columns, quoted=True)
        raise InvalidData(
            f"{into.written} has no column {', '.join(map(repr, unknown))}{hint} Its columns are "
            f"{', '.join(into.columns)}. Leave out what should not be loaded, or add the column."
        )
    computed = [name for name in columns if into.columns[name].generated or into.columns[name].identity == "a"]
    if computed:
        raise InvalidData(f"{into.written}: {', '.join(computed)} is computed by the table and takes no value.")
    lacking = [
        name
        for name, column in into.columns.items()
        if columns and name not in columns and column.not_null and not column.has_default and not column.generated
    ]
    if lacking:
        raise InvalidData(
            f"{into.written}: the rows lack {', '.join(lacking)}, which takes no null and has no default. "
            f"They have {', '.join(columns)}."
        )


@contextmanager
def fitting(into: Table) -> Generator[None]:
    """What PostgreSQL finds wrong with rows becomes InvalidData that names column, value and row.

    Raises:
        InvalidData: A value does not fit its column, or a row breaks a constraint.
    """
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise InvalidData(_told(error, into)) from error


def _told(error: psycopg.Error, into: Table) -> str:
    said = error.diag.message_primary or str(error)
    place = _PLACE.search(error.diag.context or "")
    if place is not None:
        line, column, value = place.groups()
        where = f"row {int(line):,}"
        if column is not None:
            name = column.removeprefix('"').removesuffix('"')
            where += f" has {name}={value!r}, which does not fit" if value is not None else f", column {name}"
            kind = into.columns.get(name)
            where += f" into {kind.type}" if kind is not None and value is not None else ""
        return redact(f"{into.written}: {where}: {said}. Nothing was loaded.")
    detail = error.diag.message_detail
    return redact(f"{into.written}: {said}{f' ({detail})' if detail else ''}. Nothing was loaded.")


async def _frames(rows: Any, into: Table) -> AsyncIterator[pl.DataFrame]:
    """The rows as frames, whatever they came as."""
    if isinstance(rows, pl.DataFrame):
        yield rows
    elif isinstance(rows, pl.LazyFrame):
        yield await asyncio.to_thread(rows.collect)
    elif _is(rows, AsyncIterable):
        async for part in rows:
            yield _frame(part, into)
    elif _is(rows, Mapping, str, bytes) or not _is(rows, Iterable):
        raise InvalidData(
            f"{into.written}: rows are a polars frame, a list of mappings or an iterator of frames, "
            f"not a {type(rows).__name__}."
        )
    else:
        async for frame in _of_many(rows, into):
            yield frame


def _is(value: Any, *kinds: type) -> bool:
    """Whether it is one of these, as far as anyone can tell without looking inside."""
    return isinstance(value, kinds)


async def _of_many(parts: Iterable[Any], into: Table) -> AsyncIterator[pl.DataFrame]:
    mappings: list[Mapping[str, Any]] = []
    for part in parts:
        if _is(part, Mapping):
            mappings.append(part)
        else:
            yield _frame(part, into)
    if mappings:
        yield frame_of(mappings, into.columns, into.written)


def _frame(part: Any, into: Table) -> pl.DataFrame:
    if isinstance(part, pl.DataFrame):
        return part
    if _is(part, Sequence) and not _is(part, str, bytes) and all(_is(row, Mapping) for row in part):
        return frame_of(part, into.columns, into.written)
    raise InvalidData(
        f"{into.written}: rows are a polars frame, mappings, or an iterator of frames, not a {type(part).__name__}."
    )
