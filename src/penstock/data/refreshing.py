"""Materialized views are refreshed: while they are read where that can be, each by itself, in the order they need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from penstock.data.sql import named
from penstock.data.tables import is_name, quoted
from penstock.data.values import Refreshed
from penstock.definition.context import running
from penstock.model.errors import DefinitionError
from penstock.model.redaction import redact
from penstock.model.spelling import did_you_mean


@dataclass(frozen=True, kw_only=True)
class _View:
    name: str
    oid: int
    identifier: sql.Identifier
    concurrently: bool


async def refresh(*views: str, db: AsyncConnection[Any] | None = None) -> Refreshed:
    """Refresh materialized views, each in a transaction of its own, so that one that fails stops no other.

    A view that reads another of them comes after it, and is not refreshed when that one failed. A view that is
    populated and has a unique index is refreshed concurrently, so its readers do not wait. Do it in a step after the
    one that loads: a refresh sees what is committed, and not what this step's transaction wrote.

    Args:
        views: Their names, as they stand in SQL.
        db: An autocommitting connection; in a step one is taken for it.

    Returns:
        What was refreshed, and what was not and why.

    Raises:
        DefinitionError: There is no such view, or it is no materialized view, or no connection to do it on.
        psycopg.Error: None could be refreshed.
    """
    names = list(dict.fromkeys(views))
    done: list[str] = []
    failed: dict[str, str] = {}
    last: psycopg.Error | None = None
    async with _connection(db) as connection:
        if connection.info.transaction_status == TransactionStatus.INTRANS:
            raise DefinitionError("refresh(db=...) needs a connection without an open transaction.")
        found, reads = await _found(connection, names)
        await _end(connection)
        for view in _in_order(found, reads):
            broken = [one.name for one in found if one.oid in reads.get(view.oid, ()) and one.name in failed]
            if broken:
                failed[view.name] = f"it reads {', '.join(broken)}, which could not be refreshed"
                continue
            form = "refresh materialized view concurrently {}" if view.concurrently else "refresh materialized view {}"
            try:
                await connection.execute(sql.SQL(form).format(view.identifier))
                await _end(connection)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise
                failed[view.name], last = _said(error), error
                await _end(connection, good=False)
            except psycopg.Error as error:
                failed[view.name], last = _said(error), error
                await _end(connection, good=False)
            else:
                done.append(view.name)
                _progress(len(done), len(found))
    if last is not None and not done:
        raise last
    return Refreshed(views=done, failed=failed)


def _said(error: psycopg.Error) -> str:
    return redact(error.diag.message_primary or str(error))


def _progress(done: int, total: int) -> None:
    context = running()
    if context is not None:
        context.progress(done, total)


def _connection(db: AsyncConnection[Any] | None) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
    context = running()
    if db is not None:
        return nullcontext(db)
    if context is None:
        raise DefinitionError("Outside of a step refresh(..., db=connection) needs a connection to do it on.")
    return context.connection()


async def _end(connection: AsyncConnection[Any], *, good: bool = True) -> None:
    """Each view has a transaction of its own, also on a connection that does not commit by itself."""
    if not connection.autocommit:
        await (connection.commit() if good else connection.rollback())


async def _found(connection: AsyncConnection[Any], names: Sequence[str]) -> tuple[list[_View], dict[int, set[int]]]:
    asks = named("views")
    cursor = connection.cursor(row_factory=tuple_row)
    found: list[_View] = []
    for name in names:
        row = None
        for written in (name, quoted(name)):
            if row is None and is_name(written):
                row = await (await cursor.execute(asks["view"], {"name": written})).fetchone()
        if row is None:
            await cursor.execute(named("tables")["similar"])
            there = [one[0] for one in await cursor.fetchall()]
            raise DefinitionError(f"There is no materialized view {name!r}{did_you_mean(name, there, quoted=True)}")
        oid, schema, relation, kind, populated, unique = row
        if kind != "m":
            raise DefinitionError(f"{name!r} is no materialized view, so there is nothing to refresh.")
        identifier = sql.Identifier(schema, relation)
        found.append(_View(name=name, oid=oid, identifier=identifier, concurrently=populated and unique))
    await cursor.execute(asks["reads"], {"oids": [view.oid for view in found]})
    reads: dict[int, set[int]] = {}
    for reader, read in await cursor.fetchall():
        reads.setdefault(reader, set()).add(read)
    return found, reads


def _in_order(found: Sequence[_View], reads: dict[int, set[int]]) -> list[_View]:
    by_oid = {view.oid: view for view in found}
    order = TopologicalSorter({view.oid: reads.get(view.oid, set()) for view in found})
    return [by_oid[oid] for oid in order.static_order()]
