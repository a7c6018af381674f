"""A ledger of the test's own, and workers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.ports.ledger import Worker
from penstock.testing.contracts.ledger_case import Stage


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url)
    await ledger.open()
    yield ledger
    await ledger.close()


@pytest_asyncio.fixture
async def stage(ledger: PostgresLedger) -> AsyncIterator[Stage]:
    """The ledger and its workers; none of them is killed in these tests."""
    stage = Stage(ledger, _never)
    yield stage
    await stage.close()


async def _never(worker: Worker) -> None:
    raise AssertionError(worker)
