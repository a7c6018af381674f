"""A query's rows as a polars frame: COPY out of the server, each column in the type that its SQL type means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.extra import frames_needed
from penstock.data.tables import Db, bindable, connection_of
from penstock.data.units import units_table
from penstock.definition.context import running
from penstock.model.errors import DefinitionError

if TYPE_CHECKING:
    import polars as pl

_WRONG = (
    psycopg.errors.SyntaxError,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedParameter,
    psycopg.errors.AmbiguousColumn,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.GroupingError,
)
_OVER = re.compile(r"-- The query ends here\.\n.*", re.DOTALL)


async def query(db: Db, sql: str, *, units: Sequence[Any] | None = None, **binds: Any) -> pl.DataFrame:
    """Read the rows of a query as a frame.

    Columns keep their meaning, also where no row comes: `numeric(p, s)` is Decimal(p, s), `numeric` without a scale
    Decimal(38, 18) (say `::float8` in the query for floats), `timestamptz` is Datetime in UTC, an interval a Duration
    (a month in it has 30 days), an array a List; uuid, json, enum and all other types are text.

    Args:
        db: The step's transaction, or a psycopg connection.
        sql: One SELECT; values are `%(name)s`, and no other percent sign needs doubling.
        units: Units (tuples with names, dataclasses or pydantic models of one class) that are the table `units` in the
            query.
        binds: The values.

    Raises:
        DefinitionError: The SQL is wrong, changes something, gives two columns one name, or lacks a value.
        InvalidData: A value cannot be held by polars, such as an infinite date; it names column and value.
    """
    frames_needed()
    from penstock.data.decoding import decode, kind_of

    connection = await connection_of(db)
    whole = _whole(connection, sql, units, binds)
    try:
        described = await _describe(connection, whole)
        names = [column.name for column in described]
        if len(set(names)) < len(names) or not names:
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DefinitionError(
                f"The query gives {'no column' if not names else 'more than one column ' + ', '.join(twice)}: give "
                f"each its own name with 'as'. {_excerpt(sql)}"
            )
        kinds = [kind_of(connection, column) for column in described]
        text = await _copied_out(connection, whole, [kind.sql for kind in kinds])
    except _WRONG as error:
        said = _OVER.sub("", error.diag.message_primary or str(error))
        hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
        raise DefinitionError(f"The query cannot be run: {said}.{hint} {_excerpt(sql)}") from error
    frame = await decode(text, dict(zip(names, kinds, strict=True)))
    context = running()
    if context is not None:
        context.count(read=frame.height)
    return frame


def _excerpt(text: str) -> str:
    one = " ".join(text.split())
    return f"It was: {one[:200]}{'…' if len(one) > 200 else ''}"  # noqa: PLR2004 - enough to know it by


def _whole(
    connection: AsyncConnection[Any], text: str, units: Sequence[Any] | None, binds: dict[str, Any]
) -> sql.Composable:
    """The user's query in parentheses, with its values, and with `units` before it.

    COPY takes no values of its own, so they are written into it, quoted by the driver.

    Raises:
        DefinitionError: A value is missing, or is none that PostgreSQL knows.
    """
    if any("\0" in part for part in (text, *(value for value in binds.values() if isinstance(value, str)))):
        raise DefinitionError(f"A query's text and values hold no NUL character. {_excerpt(text)}")
    client = psycopg.AsyncClientCursor(connection)
    try:
        body = sql.SQL("(\n{}\n)").format(_verbatim(client.mogrify(bindable(text).encode(), binds)))
        if units is None:
            return body
        table, values = units_table(units)
        return sql.SQL("with units as ({}) select * from {} as asked").format(
            _verbatim(client.mogrify(table, values)), body
        )
    except psycopg.ProgrammingError as error:
        raise DefinitionError(f"The query's values do not fit it: {error}. {_excerpt(text)}") from error


def _verbatim(text: str) -> sql.Composable:
    """The user's own SQL; it is his query, and values in it are bound."""
    return sql.SQL(text.replace("{", "{{").replace("}", "}}")).format()  # pyright: ignore[reportArgumentType]


async def _describe(connection: AsyncConnection[Any], whole: sql.Composable) -> Sequence[psycopg.Column]:
    """The columns that it will give; nothing is computed for that."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(sql.SQL("select * from ({}) described limit 0").format(whole))
    return cursor.description or ()


async def _copied_out(connection: AsyncConnection[Any], whole: sql.Composable, forms: Sequence[str]) -> bytes:
    numbered = sql.SQL(", ").join(sql.Identifier(f"c{number}") for number in range(len(forms)))
    picked = sql.SQL(", ").join(_verbatim(form.format(f'"rows"."c{number}"')) for number, form in enumerate(forms))
    # The last column keeps the row of one null from being an empty line, which would be no row.
    statement = sql.SQL(
        "copy (select {}, 1 from ({}) as rows ({})) to stdout with (format csv, encoding 'UTF8')"
    ).format(picked, whole, numbered)
    parts: list[bytes] = []
    async with connection.cursor().copy(statement) as copy:
        parts.extend([bytes(part) async for part in copy])
    return b"".join(parts)
