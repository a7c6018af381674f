"""All that any engine must pass."""

from __future__ import annotations

from penstock.testing.contracts.engine_batches import EngineBatchContract
from penstock.testing.contracts.engine_failures import FailureContract
from penstock.testing.contracts.engine_quotas import EngineQuotaContract
from penstock.testing.contracts.engine_steering import EngineSteeringContract
from penstock.testing.contracts.engine_steps import StepContract
from penstock.testing.contracts.engine_transactions import TransactionContract


class EngineContract(
    StepContract,
    FailureContract,
    EngineBatchContract,
    EngineQuotaContract,
    EngineSteeringContract,
    TransactionContract,
):
    """What an engine, the executor and the operations promise together, one test a promise.

    A subclass gives a fixture `connect`: a function that takes an `App` and opens a client for it, whose engine is the
    one under test, on a ledger that was empty when the test began. Without a database behind the ledger it says
    `has_database = False`.
    """
