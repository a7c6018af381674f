"""Where a run's rows wait to be published: a schema of its own, which outlives a step, a crash and a retry."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.names import pointed
from penstock.data.sql import named
from penstock.data.tables import Table, bindable, key_columns, table
from penstock.definition.context import running
from penstock.model.errors import DefinitionError, InvalidData

PREFIX = "penstock_staging_"
PUBLISHED = "published"
"""The schema by which a publication's SQL names what is published."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One table of a publication.

    Attributes:
        target: What is published.
        key: The columns that tell a row.
        staging: Where the run's own rows are.
    """

    target: Table
    key: Sequence[str]
    staging: sql.Identifier


@dataclass(frozen=True, kw_only=True)
class Place:
    """A run's staging place.

    Attributes:
        schema: Its name.
        tables: The publication's tables, by their names as they were written.
    """

    schema: str
    tables: Mapping[str, Waiting]

    def pointed(self, text: str) -> str:
        """SQL that sees what was written in place of what is published."""
        names: dict[tuple[str, str], sql.Identifier] = {}
        for one in self.tables.values():
            names[one.target.schema, one.target.name] = one.staging
            names[PUBLISHED, one.target.name] = one.target.identifier
        return bindable(pointed(text, names))

    @asynccontextmanager
    async def seen(self, connection: AsyncConnection[Any]) -> AsyncGenerator[None]:
        """In this block bare names are the run's own tables; all of it happens or nothing.

        Raises:
            DefinitionError: What is published was changed.
        """
        asks, oids = named("publication"), [one.target.oid for one in self.tables.values()]
        async with connection.transaction():
            before = await _one(connection, asks["changes"], oids=oids)
            path = await _one(connection, asks["see_staging"], schema=self.schema)
            yield
            await connection.execute(asks["see_published"], {"path": path})
            if await _one(connection, asks["changes"], oids=oids) != before:
                raise DefinitionError(
                    f"The SQL of a publication changed what is published ({', '.join(self.tables)}): write to the "
                    "tables' own names, which are what was written; publish() does the rest. Nothing was changed."
                )


async def place(connection: AsyncConnection[Any], tables: Mapping[str, Sequence[str]], *, make: bool) -> Place:
    """The running run's staging place; begins the transaction where there is none.

    Args:
        connection: The step's.
        tables: The publication's tables and keys.
        make: Whether to make what is not there; else that is an error.

    Raises:
        DefinitionError: A table or its key is not there.
        InvalidData: Nothing was written, and `make` is false.
    """
    schema = PREFIX + await _owner(connection)
    waiting: dict[str, Waiting] = {}
    for written, key in tables.items():
        target = await table(connection, written)
        waiting[written] = Waiting(
            target=target, key=key_columns(target, key), staging=sql.Identifier(schema, target.name)
        )
    found = Place(schema=schema, tables=waiting)
    cursor = await connection.cursor(row_factory=tuple_row).execute(named("publication")["there"], {"schema": schema})
    there = {row[0] for row in await cursor.fetchall()}
    missing = [one for one in waiting.values() if one.target.name not in there]
    if len(missing) == len(waiting) and not make:
        raise InvalidData(
            f"Nothing was written to the publication of {', '.join(tables)} in this run, so there is nothing to count, "
            "audit or publish. A run that takes up another's steps finds what they wrote for 30 days, until it is "
            "published."
        )
    if missing:
        await _make(connection, schema, missing)
    return found


async def _owner(connection: AsyncConnection[Any]) -> str:
    """Whose the place is: the run's, or that of the run whose completed steps it took over."""
    context, asks = running(), named("publication")
    if context is None:
        return str(await _one(connection, asks["by_hand"]))
    run = context.run_id
    if not await _one(connection, asks["has_ledger"]):
        return run.hex
    while True:
        # The last 15 digits of a run's id are its number, by which the ledger finds it.
        origin: UUID | None = await _one(connection, asks["origin"], number=int(run.hex[-15:], 16), run=run)
        if origin is None or origin == run:
            return run.hex
        run = origin


async def _make(connection: AsyncConnection[Any], schema: str, missing: Sequence[Waiting]) -> None:
    """Make it in a transaction of its own, so that steps side by side do not wait for one another's commit."""
    context = running()
    if context is None:
        async with connection.transaction():
            await _create(connection, schema, missing)
        return
    async with context.connection() as own:
        await own.execute(named("publication")["patience"])
        await _create(own, schema, missing)


async def _create(connection: AsyncConnection[Any], schema: str, missing: Sequence[Waiting]) -> None:
    asks = named("publication")
    await connection.execute(asks["only_one"], {"schema": schema})
    cursor = connection.cursor(row_factory=tuple_row)
    if await _one(connection, asks["may_clean"]):
        for (old,) in await (await cursor.execute(asks["left_behind"])).fetchall():
            await connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(old)))
    await cursor.execute(asks["there"], {"schema": schema})
    there = {row[0] for row in await cursor.fetchall()}
    if not there:
        await connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        (now,) = await (await cursor.execute("select now()::text")).fetchone() or ("",)
        await connection.execute(
            sql.SQL("comment on schema {} is {}").format(sql.Identifier(schema), sql.Literal(f"made at {now}"))
        )
    for one in missing:
        if one.target.name in there:
            continue
        await connection.execute(
            sql.SQL("create table {} (like {} including defaults including generated)").format(
                one.staging, one.target.identifier
            )
        )
        for column in one.target.columns.values():
            if column.identity:  # it fills itself when the row is published
                await connection.execute(
                    sql.SQL("alter table {} alter {} drop not null").format(one.staging, sql.Identifier(column.name))
                )


async def remove(connection: AsyncConnection[Any], place: Place) -> None:
    """Take the publication's tables away, and the place with the last of them."""
    await connection.execute(
        sql.SQL("drop table if exists {}").format(sql.SQL(", ").join(one.staging for one in place.tables.values()))
    )
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(named("publication")["there"], {"schema": place.schema})
    if await cursor.fetchone() is None:
        await connection.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(place.schema)))


async def staging_table(connection: AsyncConnection[Any], waiting: Waiting) -> Table:
    """The run's own table, under the name that the user gave the published one."""
    found = await table(connection, waiting.staging.as_string())
    return replace(found, written=waiting.target.written)


async def _one(connection: AsyncConnection[Any], query: bytes, **binds: Any) -> Any:
    """The first value of a query's first row."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(query, binds or None)
    row = await cursor.fetchone()
    return row[0] if row else None


def excerpt(text: str) -> str:
    """Enough of a query to know it by."""
    one = re.sub(r"\s+", " ", text).strip()
    return one if len(one) <= 200 else one[:199] + "…"  # noqa: PLR2004 - one line of a message
