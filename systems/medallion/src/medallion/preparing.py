"""The tables of medallion, made where they are missing or of an earlier version."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from psycopg import sql

from medallion.queries import text_of

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    import penstock as ps

_VERSION = "select obj_description(to_regnamespace('medallion')::oid, 'pg_namespace')"


async def prepare(client: ps.Client) -> None:
    """Make what is missing; where nothing is, nothing is locked. It may be called by many at once."""
    async with client.connection() as conn:
        await prepare_on(conn)


async def prepare_on(conn: AsyncConnection[Any]) -> bool:
    """The same on a connection; whether anything was made. Penstock's own tables have to be there."""
    schema = text_of("schema.sql") + text_of("views.sql")
    version = hashlib.sha256(schema.encode()).hexdigest()
    cursor = await conn.execute(_VERSION)
    row = await cursor.fetchone()
    if row is not None and row[0] == version:
        return False
    async with conn.transaction():
        await conn.execute(schema.encode())
        await conn.execute(sql.SQL("comment on schema medallion is {}").format(sql.Literal(version)))
    return True
