"""The role of tenants belongs to the whole server: databases that are migrated at once make it once."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psycopg
import pytest

from conftest import created, without_server
from penstock.ledger.embedded import EmbeddedServer
from penstock.ledger.migrate import newest, upgrade
from penstock.model.errors import LedgerUnavailable, SettingError


@pytest.mark.slow
def test_databases_that_are_migrated_at_once_share_the_role(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "pg")
    try:
        url = server.start()
    except (SettingError, LedgerUnavailable) as error:
        without_server(f"no database for tests: {error}")
    try:
        with psycopg.connect(url) as connection:
            there = connection.execute("select count(*) from pg_roles where rolname = 'penstock_tenant'").fetchone()
        assert there == (0,)
        with (
            created(url) as one,
            created(url) as two,
            created(url) as three,
            ProcessPoolExecutor(3, get_context("spawn")) as pool,
        ):
            found = list(pool.map(upgrade, (one, two, three)))
            assert {status.revision for status in found} == {newest()}
            for each in (one, two, three):
                with psycopg.connect(each) as connection:
                    assert connection.execute("select penstock.build_wall()").fetchone() == (None,)
                    connection.execute("select set_config('role', 'penstock_tenant', true)")
                    assert connection.execute("select count(*) from penstock.v1_runs").fetchone() == (0,)
    finally:
        server.stop()
