# ruff: noqa: S101 - a contract is made of assertions
"""The stage on which every part of the ledger's contract plays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from penstock.model.attempt import Instant, RunEnd
from penstock.model.errors import LeaseLost
from penstock.model.key import Key
from penstock.model.shape import Shape, StepShape
from penstock.model.states import AttemptState, Verdict
from penstock.ports.ledger import Ledger, Worker
from penstock.ports.records import (
    Applied,
    AttemptRecord,
    CallRecord,
    Claimed,
    EndRecord,
    ListedUnit,
    PlanQuery,
    StoredPlan,
    UnitEnd,
    WaitRecord,
)

T = TypeVar("T")

APP = "contract"
PIPELINE = "letters"
STEPS = Shape(steps=(StepShape("read"), StepShape("write", after=("read",))))
BATCHES = Shape(steps=STEPS.steps, batch=3)
VERDICTS: dict[RunEnd, Verdict] = {
    "completed": "completed",
    "partial": "partial",
    "failed": "failed",
    "cancelled": "cancelled",
}
OF_UNIT = ("verdict", "counts", "first", "limit", "until", "alone")
PATIENCE = 5.0
"""Seconds after which what does not come true is called false."""


def key(name: str) -> str:
    """The canonical key of the unit of this name."""
    return json.dumps({"name": name}, separators=(",", ":"))


def listed(name: str, *, lane: str | None = None, priority: int = 0, version: str | None = None) -> ListedUnit:
    """A wanted unit."""
    return ListedUnit(key=key(name), unit={"name": name}, lane=lane, priority=priority, source_version=version)


def query(*units: ListedUnit | str, pipeline: str = PIPELINE, **more: Any) -> PlanQuery:
    """What to plan; a name stands for a unit without a lane."""
    wanted = [unit if isinstance(unit, ListedUnit) else listed(unit) for unit in units]
    given: dict[str, Any] = {
        "app": APP,
        "pipeline": pipeline,
        "space": pipeline,
        "shape": STEPS,
        "definition": "1",
        "fields": ("name",),
        "key": Key({"name": "text"}),
        "wanted": wanted,
        "lane": "lane" if any(unit.lane is not None for unit in wanted) else None,
    }
    return PlanQuery(**{**given, **more})


def names(claimed: Claimed) -> list[str]:
    """The names of a claimed run's units."""
    return [unit.unit["name"] for unit in claimed.units]


def tried(
    claimed: Claimed, seq: int = 1, step: str = "read", state: AttemptState = "done", **more: Any
) -> AttemptRecord:
    """An attempt of a claimed run; its outcomes are numbered like its attempts unless said."""
    given: dict[str, Any] = {"hold": claimed.hold, "seq": seq, "step": step, "attempt": 1, "state": state}
    if state != "open":
        given |= {"ended": seq, "units_left": len(claimed.units), "units_failed": 0}
    return AttemptRecord(**{**given, **more})


def called(claimed: Claimed, unit_no: int, step: str = "read", **more: Any) -> CallRecord:
    """A call for one unit of a claimed run."""
    given: dict[str, Any] = {"hold": claimed.hold, "step": step, "unit_no": unit_no, "state": "done"}
    return CallRecord(**{**given, **more})


def over(claimed: Claimed, state: RunEnd = "completed", **more: Any) -> EndRecord:
    """The end of a claimed run; options of `UnitEnd` go to each unit, those of `EndRecord` to the run."""
    of_unit: dict[str, Any] = {"verdict": VERDICTS[state]}
    of_unit |= {name: more.pop(name) for name in OF_UNIT if name in more}
    units = tuple(UnitEnd(no=unit.no, **of_unit) for unit in claimed.units)
    return EndRecord(hold=claimed.hold, state=state, units=units, **more)


async def until(condition: Callable[[], Awaitable[T]]) -> T:
    """What the condition gives as soon as that is true; it is asked again until then."""
    try:
        async with asyncio.timeout(PATIENCE):
            found = await condition()
            while not found:
                await asyncio.sleep(0.02)
                found = await condition()
            return found
    except TimeoutError:
        raise AssertionError("this did not come true in time") from None


async def late(writes: Sequence[Awaitable[Any]]) -> list[bool]:
    """Which of these writes, made at once, were turned away for their fence; other errors are raised."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, LeaseLost):
            raise result
    return [isinstance(result, LeaseLost) for result in results]


class Stage:
    """A ledger with the workers that a test opens on it."""

    def __init__(self, ledger: Ledger, kill: Callable[[Worker], Awaitable[None]]) -> None:
        self.ledger, self.kill = ledger, kill
        self._workers: list[Worker] = []

    async def worker(self, name: str = "worker") -> Worker:
        """One more process at work."""
        worker = await self.ledger.open_worker(APP, name)
        self._workers.append(worker)
        return worker

    async def plan(self, *units: ListedUnit | str, **more: Any) -> StoredPlan:
        """Plan these units."""
        return await self.ledger.plan(query(*units, **more))

    async def apply(self, *units: ListedUnit | str, **more: Any) -> Applied:
        """Plan these units and make the runs."""
        return await self.ledger.apply((await self.plan(*units, **more)).id, triggered_by="test")

    async def claim(self, worker: Worker, count: int = 10, pipelines: Sequence[str] = (PIPELINE,)) -> list[Claimed]:
        """Claim what is due."""
        return list(await worker.claim(count, pipelines))

    async def one(self, worker: Worker, pipelines: Sequence[str] = (PIPELINE,)) -> Claimed:
        """Claim the only run that is due."""
        (claimed,) = await self.claim(worker, pipelines=pipelines)
        return claimed

    async def begin(self, *units: ListedUnit | str, **more: Any) -> tuple[Worker, Claimed]:
        """A worker with the one run that carries these units."""
        await self.apply(*units, **{"one_run": True, **more})
        worker = await self.worker()
        return worker, await self.one(worker, [more.get("pipeline", PIPELINE)])

    async def remember(
        self, worker: Worker, name: str, state: RunEnd, *, version: str | None = None, **more: Any
    ) -> None:
        """Run the unit once, forced if need be, to this end."""
        await self.apply(listed(name, version=version), forced=True)
        await worker.end(over(await self.one(worker), state, **more))

    async def unit(self, name: str) -> dict[str, Any]:
        """What is remembered of the unit."""
        row = await self.ledger.unit(app=APP, pipeline=PIPELINE, key=key(name))
        assert row is not None, f"the ledger never saw {name}"
        return dict(row)

    async def due(self, worker: Worker) -> Claimed:
        """The next run that is claimed, as soon as it is due."""

        async def next_one() -> list[Claimed]:
            await worker.housekeep([PIPELINE])
            return await self.claim(worker, 1)

        return (await until(next_one))[0]

    def soon(self, worker: Worker, seconds: float = 0.15) -> Instant:
        """So many seconds from now."""
        return Instant(worker.now() + seconds)

    async def rest(self, worker: Worker, claimed: Claimed, seconds: float = 0.15, *, keep_lane: bool = True) -> None:
        """Let the run go for so long."""
        await worker.wait(
            WaitRecord(hold=claimed.hold, until=self.soon(worker, seconds), reason="backoff", keep_lane=keep_lane)
        )

    async def close(self) -> None:
        """Close every worker."""
        for worker in self._workers:
            await worker.close()


class LedgerCase:
    """What the parts of the contract share; see `LedgerContract` for what a subclass gives."""

    pytestmark = pytest.mark.asyncio

    async def kill(self, worker: Worker) -> None:
        """Make the worker's process a dead one."""
        raise NotImplementedError

    @pytest_asyncio.fixture
    async def stage(self, ledger: Ledger) -> AsyncIterator[Stage]:
        """The ledger under test and its workers."""
        stage = Stage(ledger, self.kill)
        yield stage
        await stage.close()
