"""Every ledger keeps the contract: the one in memory and the one on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.worker import PostgresWorker
from penstock.model.errors import DefinitionError
from penstock.ports.ledger import Ledger, Worker
from penstock.testing.contracts import LedgerContract
from penstock.testing.contracts.ledger_case import Stage, key, listed, query, tried
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

    async def test_what_exists_tells_what_is_missing_and_what_is_stale(self) -> None:
        there: dict[str, str | None] = {key("a"): "1", key("b"): "1", key("c"): None}
        stage = Stage(MemoryLedger(existing=lambda: there), self.kill)
        wanted = [listed("a", version="1"), listed("b", version="2"), listed("c", version="1"), listed("d")]
        assert (await stage.plan(*wanted)).counts == {"stale": 1, "missing": 1}
        worker = await stage.worker()
        for _ in range(2):
            await stage.remember(worker, "d", "completed")
        plan = await stage.plan("d")
        assert (plan.counts, plan.repeating, [verdict for verdict, *_ in plan.remembered]) == ({}, 1, ["completed"])

    async def test_a_plan_may_be_narrowed_to_some_keys(self) -> None:
        ledger = MemoryLedger()
        plan = await ledger.plan(query("a", "b", "c", keys=(key("b"), key("c"))))
        assert [gap.unit["name"] for gap in await ledger.gaps(plan.id, 0, 9)] == ["b", "c"]

    async def test_sql_is_refused_and_says_what_to_do(self) -> None:
        ledger = MemoryLedger()
        with pytest.raises(DefinitionError, match=r"penstock\.testing\.database"):
            await ledger.plan(replace(query(), wanted="select 1"))
        with pytest.raises(AssertionError, match="no database"):
            ledger.connection()
        stage = Stage(ledger, self.kill)
        worker, run = await stage.begin("a")
        await worker.opened_now(tried(run, 1, "write", "open"))
        with pytest.raises(AssertionError, match=r"^letters\.write asks for a database.*sim\.stub\(write, "):
            await worker.transaction(run.hold).execute("select 1")


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
        async with worker.ledger.connection() as connection:
            await connection.execute(
                "update penstock.processes set pid = %s where process_id = %s", [NO_PROCESS, worker.process]
            )

    async def test_what_exists_tells_what_is_missing_and_what_is_stale(self, stage: Stage) -> None:
        wanted = [listed("a", version="1"), listed("b", version="2"), listed("c"), listed("d", version="1")]
        existing = "select name, '1' as source_version from unnest(array['a', 'b', 'c']) name"
        assert (await stage.plan(*wanted, existing=existing)).counts == {"stale": 1, "missing": 1}
