"""Tables as the building blocks see them: their columns, their keys, and the connection to reach them by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.sql import named
from penstock.definition.context import Transaction
from penstock.model.errors import DefinitionError
from penstock.model.spelling import did_you_mean

Db: TypeAlias = Transaction | AsyncConnection[Any]
_PERCENT = re.compile(r"%%|%\(\w+\)s|%")


class _Connects(Protocol):
    async def connection(self) -> AsyncConnection[Any]: ...


async def connection_of(db: Db | _Connects) -> AsyncConnection[Any]:
    """The psycopg connection: the step's, or the one that was given.

    Raises:
        DefinitionError: It is neither.
    """
    if isinstance(db, AsyncConnection):
        return db
    if not hasattr(db, "connection"):
        raise DefinitionError(
            f"db is the step's ps.Transaction or a psycopg.AsyncConnection, not a {type(db).__name__}."
        )
    return await db.connection()


def bindable(text: str) -> str:
    """A user's SQL without its last semicolon, every `%` that begins no `%(name)s` doubled for the driver."""
    text = re.sub(r"[;\s]+$", "", text)
    return _PERCENT.sub(lambda found: found[0] if len(found[0]) > 1 else "%%", text)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        type: Its type as SQL writes it.
        base: The name of the type under its domains.
        category: PostgreSQL's category of that type: `N` is numeric, `A` an array, and so on.
        not_null: Whether it may not be null.
        has_default: Whether it fills itself.
        generated: Whether it is computed, and takes no value.
        identity: `a` when it takes no value, `d` when it may be given one, else empty.
        comparable: Whether its type has an equality.
    """

    name: str
    type: str
    base: str
    category: str
    not_null: bool
    has_default: bool
    generated: bool
    identity: str
    comparable: bool

    @property
    def is_json(self) -> bool:
        """Whether it holds a document."""
        return self.base in ("json", "jsonb")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that rows can go into.

    Attributes:
        written: Its name as the user wrote it, for messages.
        schema: Where it is.
        name: What it is called there.
        oid: What PostgreSQL calls it.
        columns: Its columns by name, in their order.
        keys: The column sets by which a row can be told; the primary key first.
        has_primary: Whether the first of them is the primary key.
        partitioned: Whether it is a partitioned table.
    """

    written: str
    schema: str
    name: str
    oid: int
    columns: dict[str, Column]
    keys: Sequence[frozenset[str]]
    has_primary: bool
    partitioned: bool

    @property
    def identifier(self) -> sql.Identifier:
        """Its full name, quoted."""
        return sql.Identifier(self.schema, self.name)


async def table(connection: AsyncConnection[Any], written: str) -> Table:
    """Look a table up; begins the transaction where there is none.

    Args:
        connection: Whose search path a bare name is looked up under.
        written: `name`, `schema.name`, or either with quotes as in SQL.

    Raises:
        DefinitionError: There is no such table, or it is no table.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    asks = named("tables")
    for name in dict.fromkeys((written, quoted(written))):
        found = await (await cursor.execute(asks["relation"], {"name": name if is_name(name) else ""})).fetchone()
        if found is not None:
            break
    else:
        there = [row[0] for row in await (await cursor.execute(asks["similar"])).fetchall()]
        raise DefinitionError(
            f"There is no table {written!r} in this database{did_you_mean(written, there, quoted=True)}"
        )
    oid, schema, name, kind = found
    if kind not in ("r", "p"):
        raise DefinitionError(f"{written!r} is not a table, so no rows can be loaded into it.")
    columns = await (await cursor.execute(asks["columns"], {"oid": oid})).fetchall()
    keys = await (await cursor.execute(asks["unique_keys"], {"oid": oid})).fetchall()
    return Table(
        written=written,
        schema=schema,
        name=name,
        oid=oid,
        columns={
            row[0]: Column(
                name=row[0],
                type=row[1],
                base=row[2],
                category=row[3],
                not_null=row[4],
                has_default=row[5],
                generated=row[6],
                identity=row[7],
                comparable=row[8],
            )
            for row in columns
        },
        keys=[frozenset(names) for names, _, immediate in keys if immediate],
        has_primary=bool(keys and keys[0][1] and keys[0][2]),
        partitioned=kind == "p",
    )


def quoted(written: str) -> str:
    """The name with each part quoted, for one that holds capitals or spaces and was written without quotes."""
    return ".".join('"' + part.strip().replace('"', '""') + '"' for part in written.split("."))


def is_name(text: str) -> bool:
    """Whether PostgreSQL can read it as a name; what it cannot would be an error that ends the transaction."""
    part = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
    return "\0" not in text and re.fullmatch(rf"\s*{part}(?:\s*\.\s*{part})?\s*", text) is not None


def key_columns(into: Table, key: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns that tell a row: those of `key`, else the primary key.

    Raises:
        DefinitionError: There are none, one is not a column, or no unique index makes them a key.
    """
    if key is None:
        if not into.has_primary:
            raise DefinitionError(
                f"{into.written} has no primary key: say by which columns a row is known, load(..., key=(...)), "
                "or mode='append'."
            )
        return tuple(name for name in into.columns if name in into.keys[0])
    names = (key,) if isinstance(key, str) else tuple(dict.fromkeys(key))
    if not names:
        raise DefinitionError(f"{into.written}: key names no column. Without key= the primary key is taken.")
    for name in names:
        if name not in into.columns:
            raise DefinitionError(
                f"key: {name!r} is not a column of {into.written}{did_you_mean(name, into.columns, quoted=True)} "
                f"Its columns are {', '.join(into.columns)}."
            )
    if frozenset(names) not in into.keys:
        index = sql.SQL("create unique index on {} ({});").format(
            into.identifier, sql.SQL(", ").join(map(sql.Identifier, names))
        )
        raise DefinitionError(
            f"{into.written} has no unique index on ({', '.join(names)}), so these columns are no key. "
            f"Make one: {index.as_string()}"
        )
    return names
