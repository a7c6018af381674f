"""Connections to the ledger's database, and the one table that turns the driver's errors into ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from penstock.ledger.link import PROMPT, answered, dialled, hang_up, prepare_nothing_if_pooled
from penstock.model.errors import DefinitionError, LeaseLost, LedgerUnavailable, NotFound
from penstock.model.redaction import redact

Connection: TypeAlias = psycopg.AsyncConnection[Any]

LARGEST_POOL = 60
DEADLOCKS = 5
"""How often a statement that a deadlock undid is tried again."""
LEASE_LOST = "PK001"
DISK_FULL = "53100"
KIND_RUN, KIND_PLAN = 1, 2


@contextmanager
def translated() -> Generator[None]:
    """Foreign errors become ours; the user's wrong SQL becomes a DefinitionError where it is planned with.

    Raises:
        LeaseLost: A function of ours said so.
        LedgerUnavailable: The connection broke or could not be made.
    """
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate == LEASE_LOST:
            raise LeaseLost(redact(str(error).split("\n", 1)[0])) from None
        if is_broken(error):
            raise LedgerUnavailable(_why(error)) from error
        raise
    except (PoolTimeout, ConnectionError) as error:
        msg = f"The database does not answer: {redact(str(error))}"
        raise LedgerUnavailable(msg) from error


def is_broken(error: psycopg.Error) -> bool:
    """Whether the connection failed, or the server goes down or lacks room: not the statement, which may come again."""
    if isinstance(error, psycopg.InterfaceError | psycopg.errors.IdleInTransactionSessionTimeout):
        return True
    if isinstance(error, psycopg.OperationalError):
        state = error.sqlstate
        return state is None or state.startswith(("08", "530", "531", "532", "533", "57P", "58", "XX"))
    return False


def _why(error: psycopg.Error) -> str:
    said = redact(error.diag.message_primary or str(error).strip()) or type(error).__name__
    if error.sqlstate == DISK_FULL:
        return f"The database has no room on its disk: {said}. Make room; what waits for it goes on by itself."
    return f"The database does not answer: {said}"


class Connected:
    """What every part of the ledger shares: the pool, and the prefix of public ids."""

    def __init__(self, url: str, *, size: int = 10) -> None:
        self.url = dialled(url)
        self._asking: dict[psycopg.AsyncConnection[Any], float] = {}
        self.pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            self.url,
            min_size=1,
            max_size=size,
            open=False,
            timeout=30,
            reconnect_timeout=300,
            check=_check,
            configure=prepare_nothing_if_pooled,
            reset=_as_new,
            kwargs={"row_factory": dict_row, "application_name": "penstock"},
            connection_class=psycopg.AsyncConnection[DictRow],
        )
        self.prefix = ""

    async def open(self) -> None:
        """Open the pool and read what never changes.

        Raises:
            LedgerUnavailable: The database does not answer.
        """
        with translated():
            await self.pool.open()
            async with self.pool.connection() as connection:
                row = await (await connection.execute("select prefix from penstock.installation")).fetchone()
        self.prefix = str(row["prefix"]) if row else ""

    async def make_room(self, size: int) -> None:
        """Let the pool grow to so many connections, at most 60: a server has 100 by default."""
        if size > self.pool.max_size:
            await self.pool.resize(1, min(size, LARGEST_POOL))

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any]:
        """A connection that gives tuples, committed when the block ends well, else rolled back."""
        async with self.pool.connection() as connection:
            connection.row_factory = tuple_row  # type: ignore[assignment]
            yield connection

    async def rows(self, sql: bytes, **binds: Any) -> list[DictRow]:
        """All rows of one statement in a transaction of its own; one that a deadlock undid is repeated."""
        tries = 0
        while True:
            try:
                return await self._rows(sql, binds)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                if tries == DEADLOCKS:
                    raise
                await pause(tries)
                tries += 1

    async def _rows(self, sql: bytes, binds: dict[str, Any]) -> list[DictRow]:
        with translated():
            async with self.pool.connection() as connection:
                self._asking[connection] = time.monotonic()
                try:
                    cursor = await connection.execute(sql, binds)
                    return await cursor.fetchall() if cursor.description else []
                finally:
                    self._asking.pop(connection, None)

    def hang_up(self) -> None:
        """Break the lines on which an answer is long in coming: who waits is told that the database does not answer."""
        for connection, since in self._asking.items():
            if time.monotonic() - since > PROMPT:
                hang_up(connection)

    def public(self, kind: int, number: int) -> UUID:
        """The public id of a run or plan, as the SQL function of the same name makes it."""
        return UUID(f"{self.prefix}8{kind:03x}8{number:015x}")

    def number(self, kind: int, uuid: UUID) -> int:
        """The number behind a public id.

        Raises:
            NotFound: It is another ledger's, or something else's.
        """
        text = uuid.hex
        if text[:12] != self.prefix or text[12:17] != f"8{kind:03x}8":
            what = "run" if kind == KIND_RUN else "plan"
            msg = f"{uuid} is no {what} of this ledger; 'penstock runs list' shows the ids there are."
            raise NotFound(msg)
        return int(text[17:], 16)


async def _check(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raises when the server has gone since the connection was last used."""
    with answered(connection, PROMPT):
        await AsyncConnectionPool.check_connection(connection)


async def _as_new(connection: psycopg.AsyncConnection[Any]) -> None:
    """What a borrower may have changed."""
    connection.row_factory = dict_row


async def describe(connection: Connection, what: str, sql: str, binds: dict[str, Any]) -> list[str]:
    """The columns that a user's query selects, by PostgreSQL's own description.

    Raises:
        DefinitionError: PostgreSQL refuses the query; its message and the query's name are in it.
    """
    cursor = psycopg.AsyncClientCursor(connection, row_factory=tuple_row)
    try:
        await cursor.execute(f"select * from (\n{sql}\n) described limit 0".encode(), binds)
    except psycopg.Error as error:
        if is_broken(error):
            raise
        raise DefinitionError(sql_fault(what, error)) from None
    return [column.name for column in cursor.description or ()]


def sql_fault(what: str, error: psycopg.Error) -> str:
    """A user's SQL error as one sentence with PostgreSQL's message and hint."""
    message = error.diag.message_primary or str(error).split("\n", 1)[0]
    hint = f" Hint: {error.diag.message_hint}" if error.diag.message_hint else ""
    return f"{what}: PostgreSQL says: {message}.{hint}"


async def pause(attempt: int) -> None:
    """Wait before the next try to reach the database: 0.1 s, doubled, at most 2 s."""
    await asyncio.sleep(min(2.0, 0.1 * 2 ** min(attempt, 5)))
