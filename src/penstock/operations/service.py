"""All that a service offers, to REST, gRPC, the command line and a dashboard alike."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.definition.registry import Registry
from penstock.operations.backfilling import Backfills
from penstock.operations.client import Client
from penstock.operations.executions import Executions
from penstock.operations.scheduling import Scheduler
from penstock.operations.triggering import Triggers
from penstock.ports.service import ServiceLedger


@dataclass(frozen=True, slots=True)
class Service:
    """The operations of one app by what they are about; `client` has those on plans, runs, units and quotas."""

    registry: Registry
    ledger: ServiceLedger
    client: Client
    executions: Executions
    triggers: Triggers
    backfills: Backfills
    scheduler: Scheduler


def service_on(registry: Registry, ledger: ServiceLedger, client: Client) -> Service:
    """The operations on an open ledger."""
    triggers = Triggers(registry, ledger, client)
    return Service(
        registry=registry,
        ledger=ledger,
        client=client,
        executions=Executions(registry, ledger),
        triggers=triggers,
        backfills=Backfills(registry, ledger, client, triggers),
        scheduler=Scheduler(registry, ledger, client),
    )
