"""Looks at a ledger from outside: one connection that can write nothing, made anew when the database comes back."""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.rows import DictRow, dict_row

from penstock.ledger.connect import translated
from penstock.ledger.link import plain
from penstock.ledger.queries import load
from penstock.model.errors import SettingError
from penstock.ports.watching import (
    FailuresNow,
    Frame,
    LaneNow,
    NoticesNow,
    PipelineNow,
    ProcessNow,
    QueueNow,
    QuotaNow,
)

T = TypeVar("T")
SECONDS = 5
"""After so many seconds a look is given up: it must never be what the database is busy with."""
OPTIONS = f"-c default_transaction_read_only=on -c statement_timeout={SECONDS}s -c timezone=UTC"


class Watch:
    """A reader of one ledger.

    Args:
        url: A libpq URL.
    """

    def __init__(self, url: str) -> None:
        self._url = plain(url)
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def frame(self) -> Frame:
        """What is there now.

        Raises:
            LedgerUnavailable: The database does not answer; the next call tries again.
            SettingError: Its schema is not there, or older than this program.
        """
        with translated():
            try:
                return await self._frame()
            except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
                await self.close()
                raise SettingError("The ledger's schema is not the newest: penstock db upgrade.") from None
            except BaseException:
                await self.close()
                raise

    async def _frame(self) -> Frame:
        connection = await self._open()
        (now,) = await self._rows(connection, "now")
        return Frame(
            at=now["at"],
            pipelines=await self._all(connection, "pipelines", PipelineNow),
            queues=await self._all(connection, "queue", QueueNow),
            lanes=await self._all(connection, "lanes", LaneNow),
            failures=await self._all(connection, "failures", FailuresNow),
            processes=await self._all(connection, "processes", ProcessNow),
            notices=await self._all(connection, "notices", NoticesNow),
            quotas=tuple(await self._all(connection, "quotas", QuotaNow)),
        )

    async def _open(self) -> psycopg.AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection[DictRow].connect(
                self._url, autocommit=True, row_factory=dict_row, connect_timeout=SECONDS, options=OPTIONS,
                application_name="penstock top",
            )  # fmt: skip
        return self._connection

    async def _all(self, connection: psycopg.AsyncConnection[Any], query: str, kind: type[T]) -> list[T]:
        return [kind(**row) for row in await self._rows(connection, query)]

    async def _rows(self, connection: psycopg.AsyncConnection[Any], query: str) -> list[dict[str, Any]]:
        return list(await (await connection.execute(load("watching")[query])).fetchall())

    async def close(self) -> None:
        """Give the connection back; safe to call more than once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
