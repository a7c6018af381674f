"""Restatement: a source says a key again with other values; the table has the latest, the history has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from penstock.data.loading import EVERY, differ, listed, lock, same, upsert
from penstock.data.sql import named
from penstock.data.tables import Table, key_columns, table
from penstock.data.values import Loaded
from penstock.model.errors import DefinitionError, InvalidData

if TYPE_CHECKING:
    from penstock.data.staging import Rows, Staged

FROM, TO, CONFIRMED = "valid_from", "valid_to", "confirmed_at"


async def restate(
    connection: AsyncConnection[Any],
    rows: Rows,
    target: Table,
    key: str | Sequence[str] | None,
    versions: tuple[str | bool, datetime | None],
) -> Loaded:
    """Load rows into a table and its history; see `load`.

    A version holds from `valid_from`, when the source published it, until `valid_to`, when it published another;
    `confirmed_at` is when it last said the same. Rows that come late take their place among the versions; the table
    keeps what was published last.

    Raises:
        DefinitionError: There is no history table, or it lacks columns or its key.
        InvalidData: The rows do not fit; see `load`.
    """
    from penstock.data.staging import fitting, once_each, staged

    names, (history, published) = key_columns(target, key), versions
    kept = await _versions(connection, target, names, history)
    async with staged(connection, rows, target, names) as given:
        if not given.rows:
            return Loaded(table=target.written, rows=0, inserted=0, updated=0)
        if missing := [name for name in given.columns if name not in kept.columns]:
            raise InvalidData(
                f"{kept.written} lacks {', '.join(missing)}, which the rows of {target.written} have: a history "
                "keeps every column that is loaded. Nothing was loaded."
            )
        await once_each(connection, given.name, names, target)
        await connection.execute(sql.SQL("analyze {}").format(given.name))
        # Versions of one key are one chain: who works on it next must see what this transaction made of it.
        await lock(connection, kept)
        at = published or await _now(connection)
        parts = _parts(target, kept, given, names, at)
        with fitting(kept):
            for step in ("adopt", "plan", "confirm", "resume", "amend", "close", "begin_earlier", "open"):
                await connection.execute(_put(step, parts))
        (late,) = await (await connection.cursor(row_factory=tuple_row).execute(_put("late", parts))).fetchone() or (0,)
        only = parts["is_latest"] if late else EVERY
        loaded = await upsert(connection, given, target, names, only=only)
        await connection.execute(sql.SQL("drop table {}").format(parts["plan"]))
        return changed(loaded, superseded=late, unchanged=loaded.unchanged - late)


async def _now(connection: AsyncConnection[Any]) -> datetime:
    """The server's time now that the lock is held, so that versions are in the order in which they were made."""
    cursor = await connection.cursor(row_factory=tuple_row).execute("select clock_timestamp()")
    (now,) = await cursor.fetchone() or (None,)
    assert isinstance(now, datetime)  # noqa: S101 - for type checkers
    return now


async def _versions(
    connection: AsyncConnection[Any],
    target: Table,
    key: Sequence[str],
    history: str | bool,  # noqa: FBT001 - load's own
) -> Table:
    """The history table, after a look whether it can be one."""
    beside = sql.Identifier(target.schema, f"{target.name}_history").as_string()
    name = history if isinstance(history, str) else beside
    try:
        versions = await table(connection, name)
    except DefinitionError as error:
        raise DefinitionError(
            f"{target.written} has no history table {name}. Make one:\n{_made(target, key, name)}"
        ) from error
    problems = [f"it has no column {column}" for column in (FROM, TO, CONFIRMED) if column not in versions.columns]
    problems += [
        f"its {column} is no timestamptz"
        for column in (FROM, TO, CONFIRMED)
        if column in versions.columns and versions.columns[column].base != "timestamptz"
    ]
    if frozenset((*key, FROM)) not in versions.keys:
        problems.append(f"it has no unique index on ({', '.join((*key, FROM))})")
    if problems:
        raise DefinitionError(
            f"{versions.written} is no history of {target.written}: {'; '.join(problems)}. One looks so:\n"
            f"{_made(target, key, name)}"
        )
    return versions


def _made(target: Table, key: Sequence[str], name: str) -> str:
    """The SQL that makes a history table."""
    return (
        sql.SQL(
            "create table {} (like {}, valid_from timestamptz not null, valid_to timestamptz, "
            "confirmed_at timestamptz not null, primary key ({}, valid_from));"
        )
        .format(sql.SQL(name), target.identifier, listed(key))  # pyright: ignore[reportArgumentType]
        .as_string()
    )


def _put(step: str, parts: dict[str, sql.Composable]) -> sql.Composed:
    text = named("history")[step].decode()
    return sql.SQL(text).format(**parts)  # pyright: ignore[reportArgumentType]


def _parts(
    target: Table, versions: Table, given: Staged, key: Sequence[str], at: datetime
) -> dict[str, sql.Composable]:
    values = [name for name in given.columns if name not in key]

    def of(alias: str, names: Sequence[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.Identifier(alias, name) for name in names)

    never = sql.SQL("false")
    parts: dict[str, sql.Composable] = {
        "into": target.identifier,
        "history": versions.identifier,
        "given": given.name,
        "plan": sql.Identifier("pg_temp", f"penstock_plan_{uuid4().hex[:12]}"),
        "published": sql.Literal(at),
        "columns": listed(given.columns),
        "there_columns": of("there", given.columns),
        "given_columns": of("given", given.columns),
        "there_key": of("there", key),
        "given_key": of("given", key),
        "same_given": same(key, "there", "given"),
        "same_version": same(key, "there", "version"),
        "same_given_version": same(key, "given", "version"),
        "same_given_plan": same(key, "given", "plan"),
        "same_plan_version": same(key, "plan", "version"),
        "held_differs": differ(target, values, "held", "given") if values else never,
        "later_differs": differ(target, values, "later", "given") if values else never,
        "version_columns": of("version", given.columns),
        "set_values": sql.SQL("").join(
            sql.SQL("{} = {}, ").format(sql.Identifier(name), sql.Identifier("given", name)) for name in values
        ),
    }
    parts["is_latest"] = _put("is_latest", parts)
    return parts
