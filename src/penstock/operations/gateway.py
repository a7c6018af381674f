"""What the faces of a service share: the operations as far as a token reaches, and how the service itself is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from penstock.config import Settings
from penstock.definition.registry import Registry
from penstock.model.attempt import PlanId
from penstock.model.errors import LedgerUnavailable, PenstockError
from penstock.model.redaction import redact
from penstock.model.states import LIVE
from penstock.model.token import ApiToken
from penstock.operations.client import Client
from penstock.operations.following import Events
from penstock.operations.rates import Rates
from penstock.operations.service import Service
from penstock.operations.tokens import Tokens
from penstock.ports.access import AccessStore
from penstock.ports.service import LastRun
from penstock.ports.telling import RequestMetrics

PROMPT: Final = 3.0
"""Seconds after which a ledger that does not answer counts as one that does not."""
HOURLY: Final = 3_600.0
LAST_STATUS: Final[Mapping[str, str]] = {"completed": "success", "failed": "failure"}
"""The words of the system that first asked for `etl.last_run_status`; other states keep ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Every operation, as far as one token reaches. `org` None: all organizations."""

    operations: Service
    events: Events
    org: str | None = None

    @property
    def client(self) -> Client:
        """Those on plans, runs and units."""
        return self.operations.client

    async def progress(self, plan: UUID | int) -> Mapping[str, Any]:
        """How far a plan is: its runs by state.

        Raises:
            NotFound: There is none.
        """
        shown = await self.client.show_plan(plan)
        runs = dict(await self.operations.ledger.tally(PlanId(shown.number)))
        over = shown.state == "applied" and not any(runs.get(state) for state in LIVE)
        return {"plan": shown.id, "pipeline": shown.pipeline, "state": shown.state, "runs": runs, "over": over}

    async def cancel(self, *, run: UUID | int | None = None, plan: UUID | int | None = None) -> Mapping[str, str]:
        """Cancel a run or what is live of a plan; the state of each after that, by its number as text."""
        return {str(number): state for number, state in (await self.client.cancel(run, plan=plan)).items()}


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A service at work.

    Args:
        registry: The app.
        settings: Those that hold.
        whole: The reach of those who see all organizations.
        tenant: Makes the reach of those who see one.
        tokens: Who may ask.
        store: Where answers to repeated requests are kept.
        head: The revision of the ledger's schema that this program is made for.
        metrics: Figures of this process.

    Attributes:
        rates: How often each token may ask, over all faces.
        grpc: The address at which this process answers gRPC, once it does.
    """

    registry: Registry
    settings: Settings
    whole: Reach
    tenant: Callable[[str], Reach]
    tokens: Tokens
    store: AccessStore
    head: str
    metrics: RequestMetrics | None = None
    streams: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    rates: Rates = field(init=False)
    grpc: str | None = None

    def __post_init__(self) -> None:
        """Make what all faces share."""
        self.rates = Rates(self.settings.http_rate)

    @asynccontextmanager
    async def keeping(self) -> AsyncGenerator[None]:
        """Let kept answers go when they are a day old, and bring events into their log where nobody reads them."""
        task = asyncio.create_task(self._tidy(), name="penstock-tidying")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _tidy(self) -> None:
        while True:
            try:
                await self.store.forget_requests()
                await self.whole.events.last()  # a run with an event that is not in the log is never pruned
            except LedgerUnavailable as error:
                structlog.get_logger("penstock.http").warning("tidying waits for the ledger", reason=str(error))
            await asyncio.sleep(HOURLY)

    def reach(self, token: ApiToken) -> Reach:
        """What this token may do."""
        return self.whole if token.org is None else self.tenant(token.org)

    async def ready(self) -> Mapping[str, str]:
        """What keeps the service from working, by part; empty when nothing does."""
        faults: dict[str, str] = {}
        if self.stopping.is_set():
            faults["service"] = "it is stopping"
        try:
            async with asyncio.timeout(PROMPT):
                revision = await self.whole.operations.ledger.revision()
            if revision != self.head:
                faults["migrations"] = f"the schema is at {revision}, and this program is made for {self.head}"
        except (LedgerUnavailable, TimeoutError) as error:
            faults["ledger"] = redact(str(error)) or f"no answer within {PROMPT:g} s"
        if not self.whole.client.at_work:
            faults["lease"] = "this process holds no lease, so it carries out nothing"
        return faults

    async def health(self) -> Mapping[str, Any]:
        """How the service is, for people and for monitors; open to all, so it names nothing of anybody's."""
        faults = dict(await self.ready())
        if self.tokens.fault is not None:
            faults["organizations"] = f"tokens of one organization are refused: {self.tokens.fault}"
        last: LastRun | None = None
        if "ledger" not in faults:
            try:
                async with asyncio.timeout(PROMPT):
                    last = await self.whole.operations.ledger.last_run(self.registry.name)
            except (PenstockError, TimeoutError) as error:
                faults["ledger"] = redact(str(error)) or f"no answer within {PROMPT:g} s"
        return {
            "status": "degraded" if faults else "ok",
            "app": self.registry.name,
            "faults": faults,
            "etl": last_run(last),
        }


def last_run(last: LastRun | None) -> Mapping[str, Any]:
    """The block `etl` of `/health`; every value is null before the first run."""

    def time(at: datetime | None) -> datetime | None:
        return None if at is None else at.replace(microsecond=0)

    return {
        "last_run_id": None if last is None else last.number,
        "last_run_started": None if last is None else time(last.started_at),
        "last_run_completed": None if last is None else time(last.finished_at),
        "last_run_status": None if last is None else LAST_STATUS.get(last.state, last.state),
        "last_run_duration_seconds": None if last is None or last.seconds is None else round(last.seconds, 1),
        "last_run_rows": None if last is None else last.rows,
    }
