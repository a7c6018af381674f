"""A step's transaction: taken at its first use, committed together with the step's record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from penstock.ledger.connect import Connection, pause, translated
from penstock.ledger.encoding import attempt_json, call_json, document
from penstock.ledger.lease import ANSWER
from penstock.ledger.link import PROMPT, answered
from penstock.ledger.queries import load
from penstock.model.attempt import Instant, ProcessId
from penstock.model.errors import LeaseLost, LedgerUnavailable, SettingError
from penstock.ports.records import AttemptRecord, CallRecord, Hold

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


class PostgresTransaction:
    """See `ports.ledger.StepTransaction`."""

    def __init__(self, pool: AsyncConnectionPool[Any], process: ProcessId, hold: Hold) -> None:
        self._pool, self._process, self._hold = pool, process, hold
        self._connection: Connection | None = None
        self._session: AsyncSession | None = None

    @property
    def used(self) -> bool:
        """Whether a connection was taken."""
        return self._connection is not None

    async def connection(self) -> Connection:
        """The psycopg connection, in the transaction."""
        if self._connection is None:
            with translated():
                connection: Connection = await self._pool.getconn()
            connection.row_factory = tuple_row
            self._connection = connection
        return self._connection

    async def execute(self, query: str, params: Any = None) -> psycopg.AsyncCursor[Any]:
        """Run one statement in the transaction."""
        connection = await self.connection()
        return await connection.execute(query.encode(), params)

    async def session(self) -> AsyncSession:
        """A SQLAlchemy session on the transaction.

        Raises:
            SettingError: greenlet is not installed.
        """
        if self._session is None:
            try:
                import greenlet  # type: ignore[import-untyped] # noqa: F401 - only to tell whether the extra is there
                from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
                from sqlalchemy.pool import NullPool
            except ImportError:
                msg = "db.session() needs SQLAlchemy's asyncio part: pip install 'penstock[sqlalchemy]'."
                raise SettingError(msg) from None
            connection = await self.connection()

            async def ours() -> Connection:
                return connection

            engine = create_async_engine("postgresql+psycopg://", async_creator=ours, poolclass=NullPool)
            self._session = AsyncSession(bind=engine)
        return self._session

    async def commit(self, attempt: AttemptRecord | None, calls: Sequence[CallRecord]) -> Instant:
        """Record and commit; see `ports.ledger`."""
        connection, rows = await self.connection(), list[Any]()
        try:
            with translated(), answered(connection, ANSWER):
                if self._session is not None:
                    await self._session.flush()
                cursor = await connection.execute(
                    load("work")["record_step"],
                    {
                        "process": self._process,
                        "attempts": document([attempt_json(attempt)] if attempt else []),
                        "calls": document([call_json(call) for call in calls]),
                    },
                )
                rows = await cursor.fetchall()
                self._refuse_late(rows)
                await connection.commit()
        except LedgerUnavailable:
            await self.rollback()
            if rows:  # else COMMIT was not even sent
                await self._over(rows[0][5])
            raise
        except BaseException:
            await self.rollback()
            raise
        await self._release()
        return next((Instant(row[4]) for row in rows if row[0] == "time"), Instant(0.0))

    async def _over(self, xact: str) -> None:
        """Return when a transaction whose COMMIT was not answered is over, so that the record tells what became of it.

        Whether it was committed is not asked: a server that crashes may give its number to another, or not know it.
        """
        tries, fate = 0, "in progress"
        while fate == "in progress":  # a lost lease cancels us
            await pause(tries)
            tries += 1
            try:
                with suppress(LedgerUnavailable), translated():
                    async with self._pool.connection() as connection:
                        cursor = connection.cursor(row_factory=tuple_row)
                        with answered(connection, PROMPT):
                            ((fate,),) = await (await cursor.execute(load("work")["fate"], {"xact": xact})).fetchall()
            except psycopg.errors.InvalidParameterValue:
                return

    def _refuse_late(self, rows: Sequence[Sequence[Any]]) -> None:
        if any(row[0] == "late" for row in rows):
            msg = f"Run {self._hold.run} was taken over; what this process did is not kept."
            raise LeaseLost(msg)

    async def rollback(self) -> None:
        """Forget all of it."""
        if self._connection is None:
            return
        try:
            with translated():
                await self._connection.rollback()
        except LedgerUnavailable:
            pass  # the server has rolled it back with the connection
        finally:
            await self._release()

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        session, self._session = self._session, None
        if session is not None:
            session.sync_session.expunge_all()
        if connection is not None:
            await self._pool.putconn(connection)
