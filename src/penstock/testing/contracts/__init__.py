"""Suites that say what a ledger and an engine must promise. They need pytest and pytest-asyncio.

Subclass one in a test module, give it its fixtures, and pytest runs it::

    class TestMyLedger(LedgerContract):
        @pytest_asyncio.fixture
        async def ledger(self):
            async with my_empty_ledger() as ledger:
                yield ledger

        async def kill(self, worker): ...

For assertions that explain themselves, a conftest has to call
``pytest.register_assert_rewrite("penstock.testing.contracts")``.
"""

from penstock.testing.contracts.engine import EngineContract
from penstock.testing.contracts.ledger import LedgerContract

__all__ = ["EngineContract", "LedgerContract"]
