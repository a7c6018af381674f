"""Databases that come and go, for tests: made beside one that is there, and dropped whoever is still connected."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from penstock.ledger.connect import translated
from penstock.ledger.link import plain
from penstock.model.errors import SettingError


@contextmanager
def temporary_database(server: str) -> Generator[str]:
    """The URL of a new and empty database on the server of this URL; it is gone afterwards.

    Raises:
        LedgerUnavailable: The server does not answer.
        SettingError: This user may not create databases.
    """
    name = f"penstock_test_{uuid.uuid4().hex[:16]}"
    with translated(), psycopg.connect(plain(server), autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege as error:
            raise SettingError(
                f"A test needs a database of its own, and this user may not create one ({str(error).strip()}): point "
                f"PENSTOCK_TEST_DATABASE_URL to a server where it may."
            ) from None
        try:
            yield named(plain(server), name)
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def named(server: str, database: str) -> str:
    """The server's URL with another database."""
    scheme, mark, rest = server.partition("://")
    if not mark:
        return make_conninfo(server, dbname=database)
    place, question, options = rest.partition("?")
    return f"{scheme}://{place.partition('/')[0]}/{database}{question}{options}"


def query(url: str, text: str, binds: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run SQL in a transaction of its own; its rows, if it gives any.

    Without binds it may be several statements, and a `%` stands for itself.
    """
    with psycopg.connect(url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(text.encode(), binds or None)
        return cursor.fetchall() if cursor.description else []
