"""Databases for every test of the repository.

The server is the one that PENSTOCK_TEST_DATABASE_URL names (it must let us create databases), else an embedded one. A
template is migrated once; each test that asks gets a copy of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from penstock.ledger.embedded import EmbeddedServer
from penstock.ledger.migrate import upgrade
from penstock.model.errors import LedgerUnavailable, SettingError
from penstock.model.redaction import redact

pytest.register_assert_rewrite("penstock.testing.contracts")


@pytest.fixture(autouse=True)
def secrets_of_its_own() -> Iterator[None]:
    """What one test teaches as secret is no secret in the next: the redaction is one for the whole process."""
    known = redact._values, redact._forms, redact._passing, redact._known  # noqa: SLF001 - a test must forget
    redact._values, redact._forms, redact._passing = set(known[0]), set(known[1]), dict(known[2])  # noqa: SLF001
    yield
    redact._values, redact._forms, redact._passing, redact._known = known  # noqa: SLF001


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server in which tests may create databases."""
    given = os.environ.get("PENSTOCK_TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = EmbeddedServer(tmp_path_factory.mktemp("server") / "pg")
    try:
        url = server.start()
    except (SettingError, LedgerUnavailable) as error:
        without_server(f"no database for tests: {error} Or set PENSTOCK_TEST_DATABASE_URL to a server.")
    yield url
    server.stop()


def without_server(reason: str) -> NoReturn:
    """A machine without PostgreSQL skips these tests, and says why; CI must have one."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def database_template(database_server: str) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    with created(database_server) as url:
        upgrade(url)
        yield str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def database_url(database_server: str, database_template: str) -> Iterator[str]:
    """A migrated database of the test's own, with public ids of its own."""
    with created(database_server, database_template) as url:
        with psycopg.connect(url) as connection:
            connection.execute("update penstock.installation set prefix = %s", [uuid.uuid4().hex[:12]])
        yield url


@pytest.fixture
def empty_database_url(database_server: str) -> Iterator[str]:
    """An empty database of the test's own."""
    with created(database_server) as url:
        yield url


@contextmanager
def created(server: str, template: str = "template0") -> Generator[str]:
    """A new database, gone afterwards, whoever is still connected."""
    name = f"penstock_test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(server, autocommit=True) as connection:
        create = sql.SQL("create database {} template {}")
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield named(server, name)
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def named(server: str, database: str) -> str:
    """The server's URL with another database."""
    head, mark, options = server.partition("?")
    scheme, _, rest = head.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/{database}{mark}{options}"


@pytest.fixture(scope="session")
def real_transcripts() -> Path:
    """The zip of real calls; without it the test is skipped on a laptop and fails in CI."""
    data = Path(os.environ.get("PENSTOCK_TEST_DATA", Path(__file__).parent / ".." / "shared" / "data"))
    path = data / "transcripts" / "us_banks_2024Q1-2025Q2_txt.zip"
    if not path.is_file():
        reason = "no real transcripts; set PENSTOCK_TEST_DATA to the folder that holds transcripts/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path.resolve()
