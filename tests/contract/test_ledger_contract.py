"""Every ledger keeps the contract: the one in memory and the one on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.worker import PostgresWorker
from penstock.ports.ledger import Ledger, Worker
from penstock.testing.contracts import LedgerContract
from penstock.testing.memory import MemoryLedger
from penstock.testing.memory_worker import MemoryWorker

NO_PROCESS = 2**31 - 1


class TestMemory(LedgerContract):
    @pytest_asyncio.fixture
    async def ledger(self) -> Ledger:
        return MemoryLedger()

    async def kill(self, worker: Worker) -> None:
        assert isinstance(worker, MemoryWorker)
        worker.kill()


class TestPostgres(LedgerContract):
    @pytest_asyncio.fixture
    async def ledger(self, database_url: str) -> AsyncIterator[Ledger]:
        ledger = PostgresLedger(database_url)
        await ledger.open()
        yield ledger
        await ledger.close()

    async def kill(self, worker: Worker) -> None:
        """To the others it is a process that runs no more: they look for its number on this machine."""
        assert isinstance(worker, PostgresWorker)
        await worker.ledger.rows(
            "update penstock.processes set pid = %(pid)s where process_id = %(process)s",
            pid=NO_PROCESS,
            process=worker.process,
        )
