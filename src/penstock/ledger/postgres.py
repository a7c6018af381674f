"""The ledger on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from penstock.ledger.access import Access
from penstock.ledger.control import Control
from penstock.ledger.eventing import Eventing
from penstock.ledger.noticing import Noticing
from penstock.ledger.overriding import Overriding
from penstock.ledger.plans import Plans
from penstock.ledger.queries import load
from penstock.ledger.reading import Reading
from penstock.ledger.service import Serving
from penstock.ledger.tenant import TenantLedger
from penstock.ledger.text import clean, clean_json
from penstock.ledger.worker import PostgresWorker
from penstock.model.attempt import PlanId, RunId
from penstock.model.redaction import redacted
from penstock.model.states import EventType
from penstock.ports.records import Applied, LogRecord


class PostgresLedger(Plans, Reading, Control, Overriding, Noticing, Eventing, Serving, Access):
    """See `ports.ledger.Ledger`; open it before use, close it after.

    Args:
        url: A libpq URL.
        size: Connections in the pool at most.
    """

    async def apply(
        self, plan: PlanId, *, triggered_by: str, copy_from: RunId | None = None, parallel: int | None = None
    ) -> Applied:
        """Make runs, and tell whoever waits for work."""
        applied = await super().apply(plan, triggered_by=triggered_by, copy_from=copy_from, parallel=parallel)
        await self.notify("work")
        return applied

    def tenant(self, org: str) -> TenantLedger:
        """The ledger as one organization sees it."""
        return TenantLedger(self, org)

    async def open_worker(self, app: str, name: str, events: Collection[EventType] = ()) -> PostgresWorker:
        """Take a lease for this process."""
        return await PostgresWorker.open(self, app, name, events)

    async def insert_logs(self, records: Sequence[LogRecord], dropped: int) -> None:
        """Write what handlers said; the last row says how many had no room."""
        rows = [
            {
                "run": record.run,
                "step": record.step,
                "attempt": record.attempt,
                "at": record.at,
                "level": record.level,
                "message": clean(record.message),
                "fields": json.loads(clean_json(json.dumps(redacted(record.fields), default=str))) or None,
            }
            for record in records
        ]
        if dropped:
            rows.append({**rows[-1], "level": "warning", "message": f"{dropped} log records before this were dropped"})
        await self.rows(load("work")["insert_logs"], logs=json.dumps(rows))
