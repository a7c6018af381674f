"""A PostgreSQL database of a test's own, with the ledger in it and an app on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penstock import wiring
from penstock.app import App
from penstock.config import load_settings
from penstock.ledger.embedded import EmbeddedServer
from penstock.ledger.migrate import upgrade
from penstock.ledger.temporary import query, temporary_database


@dataclass(frozen=True, slots=True)
class Database:
    """The test's database.

    Attributes:
        url: Its libpq URL.
    """

    url: str

    def execute(self, sql: str, **binds: Any) -> None:
        """Run SQL and commit it; placeholders are `%(name)s`. Without binds it may be several statements."""
        query(self.url, sql, binds)

    def rows(self, sql: str, **binds: Any) -> list[dict[str, Any]]:
        """The rows that SQL gives, each by column."""
        return query(self.url, sql, binds)


@contextmanager
def database(app: App) -> Generator[Database]:
    """A PostgreSQL database for this block: the ledger is migrated, and `app` works on it; dropped afterwards.

    The server is that of PENSTOCK_TEST_DATABASE_URL, else the one that the app's settings name (PENSTOCK_DATABASE_URL),
    in which nothing but the new database is touched, else the embedded one.

    Raises:
        LedgerUnavailable: The server does not answer.
        SettingError: There is no server, or this user may not create databases in it.
    """
    settings = app.settings or load_settings()
    before = app.settings, app.database
    app.close()
    work = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    try:
        given = os.environ.get("PENSTOCK_TEST_DATABASE_URL") or settings.database_url
        with _server(given) as server, temporary_database(server) as url:
            upgrade(url)
            app.settings, app.database = replace(settings, home=work), wiring.Database(url)
            try:
                yield Database(url)
            finally:
                app.close()
                app.settings, app.database = before
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _server(given: str | None) -> Generator[str]:
    """The server of this URL, else an embedded one that all tests of this user share."""
    if given:
        yield given
        return
    server = EmbeddedServer(_cache() / "postgres")
    try:
        yield server.start()
    finally:
        server.stop()


def _cache() -> Path:
    """A folder of this user's own."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "penstock-tests"
