"""The line to the database: how long silence is borne, how a line is broken off, and what a pooler on it cannot do."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from penstock.model.errors import SettingError
from penstock.model.redaction import learn_url, masked

SILENCE: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""What the kernel does when packets vanish: a dead line is an error within 25 seconds. The URL may say otherwise."""
PROMPT: Final = 5.0
"""Seconds within which the shortest statements are answered."""


def plain(url: str) -> str:
    """The URL as libpq reads it, without a SQLAlchemy driver name."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def dialled(url: str) -> str:
    """What libpq is given: the URL, and what it does not say about silence.

    Raises:
        SettingError: libpq cannot read the URL. Its own message shows parts of the password, so it is not handed on.
    """
    learn_url(url)
    conninfo = plain(url)
    _, is_url, rest = conninfo.partition("://")
    said: Mapping[str, Any] = {}
    with suppress(psycopg.ProgrammingError, UnicodeError):
        said = {} if is_url and _is_misread(rest) else conninfo_to_dict(conninfo)
    if not said:
        msg = (
            f"database_url={masked(url)!r} cannot be read by PostgreSQL's client. In the user's name and the password, "
            "percent-encode what has a meaning in a URL: %25 for %, %40 for @, %3A for :, %2F for /, %3F for ?, %23 "
            "for #; and see whether host and port are right."
        )
        raise SettingError(msg)
    given: dict[str, Any] = {**SILENCE, **said}
    return make_conninfo(**given)


def _is_misread(rest: str) -> bool:
    """With two @, or one after a slash, libpq takes a part of the password for a host, a port or a database's name."""
    authority, _, path = rest.partition("?")[0].partition("/")
    return authority.count("@") > 1 or "@" in path


def hang_up(connection: psycopg.BaseConnection[Any]) -> None:
    """Break the line, from any thread: who waits on it is told at once that it broke, and the server when it looks."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def answered(connection: psycopg.AsyncConnection[Any], within: float) -> Generator[None]:
    """Hang up unless the block is over in time: the kernel does not see a middleman who takes all and says nothing."""
    late = asyncio.get_running_loop().call_later(within, hang_up, connection)
    try:
        yield
    finally:
        late.cancel()


@contextmanager
def answered_in_thread(connection: psycopg.Connection[Any], within: float) -> Generator[None]:
    """The same where there is no loop."""
    late = threading.Timer(within, hang_up, (connection,))
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()  # it must not break a line that was opened since under the same number


async def prepare_nothing_if_pooled(connection: psycopg.AsyncConnection[Any]) -> None:
    """Behind a pooler each transaction has another server process, which does not know what this one prepared.

    A pooler tells a process number of its own making, so asking the server for its own gives it away.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    row = await (await cursor.execute("select pg_backend_pid()")).fetchone()
    if not connection.autocommit:
        await connection.rollback()
    if row is None or row[0] != connection.info.backend_pid:
        connection.prepare_threshold = None
