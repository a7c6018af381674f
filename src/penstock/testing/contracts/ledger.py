"""All that any ledger must pass."""

from __future__ import annotations

from penstock.testing.contracts.ledger_applies import ApplyContract
from penstock.testing.contracts.ledger_batches import BatchContract
from penstock.testing.contracts.ledger_claims import ClaimContract
from penstock.testing.contracts.ledger_fences import FenceContract
from penstock.testing.contracts.ledger_history import HistoryContract
from penstock.testing.contracts.ledger_overrides import OverrideContract
from penstock.testing.contracts.ledger_plans import PlanContract
from penstock.testing.contracts.ledger_quotas import QuotaContract
from penstock.testing.contracts.ledger_reading import ReadingContract
from penstock.testing.contracts.ledger_steering import SteeringContract
from penstock.testing.contracts.ledger_verdicts import VerdictContract
from penstock.testing.contracts.ledger_waits import WaitContract
from penstock.testing.contracts.ledger_widths import WidthContract


class LedgerContract(
    PlanContract,
    ApplyContract,
    ClaimContract,
    HistoryContract,
    FenceContract,
    WaitContract,
    SteeringContract,
    VerdictContract,
    BatchContract,
    QuotaContract,
    ReadingContract,
    OverrideContract,
    WidthContract,
):
    """What `ports.ledger` promises, one test a promise.

    A subclass gives an async fixture `ledger`, open and empty, and the method `kill(worker)`, after which the worker's
    process is dead: it renews no lease, and the next `housekeep` of another one takes its runs over. What it still
    writes must be turned away from then on.
    """
