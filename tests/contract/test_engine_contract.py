"""Every engine keeps the contract: the local one on PostgreSQL and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import wiring
from penstock.config import Settings
from penstock.testing.contracts import EngineContract
from penstock.testing.contracts.engine_case import Connect
from penstock.testing.memory import MemoryLedger


class TestLocalOnPostgres(EngineContract):
    @pytest.fixture
    def connect(self, database_url: str, tmp_path: Path) -> Connect:
        settings = Settings(database_url=database_url, home=tmp_path)
        return lambda app: app.client(settings)


class TestLocalInMemory(EngineContract):
    has_database = False

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        ledger, settings = MemoryLedger(), Settings(home=tmp_path)
        return lambda app: wiring.client_on(app.registry, settings, ledger, app.handlers)
