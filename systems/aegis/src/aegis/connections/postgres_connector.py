"""A SQLAlchemy connection to the database that the settings say, for looking at the tables.

The connections come out of Penstock's pool, whose size follows `PENSTOCK_LANES`: there is nothing to tune here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from sqlalchemy.ext.asyncio import AsyncConnection as SqlConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from aegis.settings import read_env_file


@asynccontextmanager
async def get_connection() -> AsyncGenerator[SqlConnection]:
    """A connection in a transaction: committed when the block ends well, else rolled back.

    Raises:
        PenstockError: The settings are wrong or the database does not answer.
    """
    from aegis.pipelines import app

    read_env_file()
    async with app.client() as client, client.connection() as raw:

        async def ours() -> AsyncConnection[Any]:
            connection: AsyncConnection[Any] = raw
            return connection

        # The pool of one gives the connection back without closing it: it is the client's.
        engine = create_async_engine("postgresql+psycopg://", async_creator=ours, poolclass=StaticPool)
        async with engine.begin() as connection:
            yield connection
