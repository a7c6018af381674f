"""Bring the ledger's schema up to date, however many processes start at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from penstock.ledger.link import dialled
from penstock.model.errors import LedgerUnavailable, SettingError
from penstock.model.redaction import redact

LOCK = 0x70656E73746F636B  # "penstock": one advisory lock for all that migrate
SCHEMA = "penstock"
OLDEST_SERVER = 15
LOCK_WAIT = 2.0
GAP = 0.5
PATIENCE = 120.0
"""Seconds: for a table that others use, until the next try, and in all."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where the schema stands: its revision (None: not there), the newest one, the server's version."""

    revision: str | None
    head: str
    server: str

    @property
    def current(self) -> bool:
        """Nothing is left to migrate."""
        return self.revision == self.head


def upgrade(url: str) -> SchemaStatus:
    """Migrate to the newest revision; safe when several processes do so at once.

    Raises:
        LedgerUnavailable: The database does not answer.
        SettingError: The server is older than PostgreSQL 15, or the schema newer than this program.
    """
    with _connect(url) as connection:
        status = _status(connection)
        if status.current:
            return status
        if status.revision is not None and not _knows(status.revision):
            msg = (
                f"The ledger's schema is at revision {status.revision}, and this Penstock knows those up to "
                f"{status.head}: a newer one has migrated it. Install that one here too; processes at work go on."
            )
            raise SettingError(msg)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                _migrate(connection)
                break
            except OperationalError as error:
                connection.rollback()
                if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
                    raise LedgerUnavailable(
                        f"The database does not answer: {redact(str(error.orig)).strip()}"
                    ) from None
                if time.monotonic() > deadline:
                    msg = (
                        f"The ledger's tables were in use for {PATIENCE:.0f} s without a pause, so nothing was "
                        f"migrated ({redact(str(error.orig)).strip()}). Try again, or stop those at work for it."
                    )
                    raise LedgerUnavailable(msg) from None
                time.sleep(GAP)  # those at work go on meanwhile
        return _status(connection)


def _migrate(connection: Connection) -> None:
    """All in one transaction: behind a pooler the next one may have another server process.

    Whoever waits for a table keeps all others from it, so nobody is to wait for long.
    """
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text(f"set local lock_timeout = '{LOCK_WAIT:g}s'"))
    connection.execute(text(f"create schema if not exists {SCHEMA}"))
    connection.execute(text(f"set local search_path to {SCHEMA}, public"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def status(url: str) -> SchemaStatus:
    """Where the schema stands, changing nothing.

    Raises:
        LedgerUnavailable: The database does not answer.
    """
    with _connect(url) as connection:
        return _status(connection)


def newest() -> str:
    """The newest revision that this program knows."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _knows(revision: str) -> bool:
    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


def _connect(url: str) -> Connection:
    given = dialled(url)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(given, prepare_threshold=None), poolclass=NullPool
    )
    try:
        return engine.connect()
    except OperationalError as error:
        msg = f"The database does not answer: {redact(str(error.orig)).strip()}"
        raise LedgerUnavailable(msg) from None


def _status(connection: Connection) -> SchemaStatus:
    server = str(connection.execute(text("show server_version")).scalar_one())
    if int(server.split(".", 1)[0]) < OLDEST_SERVER:
        msg = (
            f"PostgreSQL {server} is too old: Penstock needs {OLDEST_SERVER} or newer. "
            f"Point PENSTOCK_DATABASE_URL to one."
        )
        raise SettingError(msg)
    there = connection.execute(text(f"select to_regclass('{SCHEMA}.migrations') is not null")).scalar_one()
    revision = None
    if there:
        revision = connection.execute(text(f"select version_num from {SCHEMA}.migrations")).scalar_one_or_none()
    connection.rollback()
    return SchemaStatus(revision, newest(), server)
