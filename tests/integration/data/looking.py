"""What is in a table."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import tuple_row


async def rows_of(db: psycopg.AsyncConnection[Any], query: str) -> list[tuple[Any, ...]]:
    cursor = db.cursor(row_factory=tuple_row)
    await cursor.execute(query.encode())
    return await cursor.fetchall()
