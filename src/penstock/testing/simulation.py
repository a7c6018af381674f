"""Run a pipeline on a virtual clock, in memory: no database, no network, no waiting."""

from __future__ import annotations

import asyncio
import copy
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, overload

from typing_extensions import TypeVar as DefaultTypeVar

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.definition.step import Step
from penstock.engines.executor.carried import Carried
from penstock.engines.local.engine import LocalEngine
from penstock.model.quota import Quota
from penstock.model.results import Event, Gap, Plan, Run, Summary
from penstock.model.values import Day
from penstock.operations.client import Client
from penstock.ports.engine import OnEvent
from penstock.ports.records import ListedUnit, PlanQuery, StoredPlan
from penstock.testing.memory import MemoryLedger
from penstock.testing.script import Crash, GivenResources, Script, ScriptedCaller, Unprepared
from penstock.testing.virtual_time import VirtualClock

U = DefaultTypeVar("U", default=Day)
T = TypeVar("T")
R = TypeVar("R")

Listed = Callable[[PlanQuery], Sequence[ListedUnit]]
NAME = "simulation"
PREFIX = "5e15e15e15e1"
"""Of the public ids, so that they are the same every time."""
PATIENCE = 3 * 3600.0
"""Virtual seconds without news after which a step that has not returned is said to hang; at most twice as many."""


class Simulation(Generic[U]):
    """A pipeline with the real engine, executor and driver, on a ledger in memory and a clock that jumps.

    It is for a plain `def test_...`. A step that needs a database is stubbed; a plain `def` step, also one with
    `cpu=True`, runs where the test runs.

    Args:
        pipeline: The pipeline. Its gaps are those of `wanted`, whatever it says of itself.
        wanted: The units that should exist; a mapping gives each its source version.
        existing: The units that are there before; a mapping gives the version each was made from. What completes in
            the simulation exists from then on.
        resources: What steps share: by type, or a sequence of objects that stand for their own types.
        params: What the trigger says.
        settings: The app's settings object.
        start: The time at which it begins.
        lanes: How many runs go on at once.

    Attributes:
        pipeline: The pipeline.
        waits: The seconds that runs waited between attempts, one entry for each wait, as the policies gave them.
        ledger: The ledger in memory.
    """

    def __init__(
        self,
        pipeline: Pipeline[U],
        *,
        wanted: Iterable[U] | Mapping[U, str],
        existing: Iterable[U] | Mapping[U, str] = (),
        resources: Mapping[Any, object] | Sequence[object] = (),
        params: object = None,
        settings: object = None,
        start: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        lanes: int = 4,
    ) -> None:
        self.pipeline: Pipeline[U] = pipeline
        self.waits: list[float] = []
        self._clock = VirtualClock(start.timestamp())
        self._wanted, self._existing = _versions(wanted), _versions(existing)
        self._params, self._lanes = params, lanes
        self._given = dict(resources) if isinstance(resources, Mapping) else {type(one): one for one in resources}
        if settings is not None:
            self._given[type(settings)] = settings
        self._script = Script(self._kill)
        self._simulated = copy.copy(pipeline)
        self._simulated.gaps = self._listed
        self._registry = _Trusting(NAME, [self._simulated])
        self.ledger: MemoryLedger = _Ledger(self._clock, self._with_versions, self._exists)
        self._work = Path(tempfile.mkdtemp(prefix="penstock-simulation-"))
        weakref.finalize(self, shutil.rmtree, self._work, ignore_errors=True)

    @overload
    def stub(self, step: Step[T], output: T) -> None: ...
    @overload
    def stub(self, step: Step[T], output: Callable[[U], T]) -> None: ...
    @overload
    def stub(self, step: Step[T], output: Callable[[list[U]], T]) -> None: ...
    def stub(self, step: Step[Any], output: Any) -> None:
        """Give this output instead of calling the step.

        A function is called for it with the unit, or with the list of units where the step takes the batch. The
        output takes the way through JSON that a real one takes, so a value of the wrong type fails the step.
        """
        self._script.stubs[self._own(step)] = output

    def unstub(self, step: Step[Any]) -> None:
        """Call the step itself again."""
        self._script.stubs.pop(self._own(step), None)

    def fail(self, step: Step[Any], error: Exception, *, times: int = 1) -> None:
        """Raise this instead of calling the step or its stub, so many times; then call it."""
        self._script.faults[self._own(step)].extend([error] * times)

    def crash(self, step: Step[Any], *, times: int = 1) -> None:
        """Let the process die in this step, so many times: nothing is recorded, and another process takes over.

        All that the process carried dies with it. A step in which five processes died in a row fails (`lost`).
        """
        self._script.faults[self._own(step)].extend([Crash()] * times)

    def plan(self, *, where: Mapping[str, object] | None = None, force: bool = False) -> Plan[U]:
        """What would run now; iterating over it gives the gaps."""

        async def work(client: Client) -> Plan[U]:
            plan = await self._plan(client, where, force=force)
            gaps: list[Gap[U]] = [gap async for gap in client.gaps(plan)]
            return replace(plan, pages=lambda: iter([gaps]))

        return self._do(work)

    def run(
        self, plan: Plan[U] | None = None, *, where: Mapping[str, object] | None = None, force: bool = False
    ) -> Summary[U]:
        """Plan, or take this plan, and carry it out until every run has ended or waits for a later time.

        Raises:
            AssertionError: A step asks for what the test did not give; the message says what to do.
        """

        async def work(client: Client) -> Summary[U]:
            chosen = plan or await self._plan(client, where, force=force)
            return await self._watched(client.apply(chosen, on_event=self._hear))

        __tracebackhide__ = True
        try:
            return self._do(work)
        except Unprepared as error:
            raise AssertionError(str(error)) from None

    def want(self, wanted: Iterable[U] | Mapping[U, str]) -> None:
        """From now on these units should exist, instead of those that were wanted before."""
        self._wanted = _versions(wanted)

    def advance(self, by: timedelta) -> None:
        """Let time pass while nothing runs."""
        self._clock.passed += by.total_seconds()

    def calls(self, step: Step[Any]) -> list[U]:
        """The units that the step was called for, in order; each attempt counts, and each unit of a batch."""
        name = self._own(step)
        return [unit for called, unit in self._script.calls if called == name]

    def spent(self, quota: Quota) -> Decimal:
        """What was drawn from this quota, in all its windows; open draws count at their worst case."""
        draws = self.ledger.budgets.draws
        mine = [draw for draw in draws if draw.quota.name == quota.name]
        return sum((draw.amount if draw.settled is None else draw.settled for draw in mine), Decimal(0))

    @property
    def now(self) -> datetime:
        """The time in the simulation."""
        return self._clock.moment()

    @property
    def elapsed(self) -> timedelta:
        """How much time has passed in the simulation."""
        return timedelta(seconds=round(self._clock.passed, 6))

    @property
    def runs(self) -> Sequence[Run[U]]:
        """All runs with their steps, in the order in which they were made."""

        async def work(client: Client) -> Sequence[Run[U]]:
            return [await client.show_run(number) for number in sorted(self.ledger.tables.runs)]

        return self._do(work)

    def _own(self, step: Step[Any]) -> str:
        if self.pipeline.steps.get(step.name) is not step:
            raise ValueError(f"{step} is not a step of {self.pipeline.name}.")
        return step.name

    def _listed(self) -> list[U]:
        return list(self._wanted)

    def _with_versions(self, query: PlanQuery) -> Sequence[ListedUnit]:
        versions = {self.pipeline.units.key_text(unit): version for unit, version in self._wanted.items()}
        listed = [unit for unit in query.wanted if isinstance(unit, ListedUnit)]
        return [replace(unit, source_version=versions.get(unit.key)) for unit in listed]

    def _exists(self) -> Mapping[str, str | None]:
        given = {self.pipeline.units.key_text(unit): version for unit, version in self._existing.items()}
        made = {unit.key: None for unit in self.ledger.tables.units.values() if unit.completed_at is not None}
        return {**given, **made}

    async def _plan(self, client: Client, where: Mapping[str, object] | None, *, force: bool) -> Plan[U]:
        plan: Plan[U] = await client.plan(self._simulated, where=where, force=force, params=self._params)
        return plan

    def _do(self, work: Callable[[Client], Coroutine[Any, Any, R]]) -> R:
        """Run it in a loop on the virtual clock, with a client on the ledger in memory."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise TypeError("A Simulation has an event loop of its own: make the test a plain 'def', not 'async def'.")

        async def with_client() -> R:
            async with self._client() as client:
                return await work(client)

        return self._clock.run(with_client())

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Client]:
        resources = GivenResources(self._registry, object)
        for kind, value in self._given.items():
            resources.give(kind, value)

        @asynccontextmanager
        async def open_engine(
            pipelines: Sequence[str], *, slots: int | None = None, on_event: OnEvent | None = None
        ) -> AsyncGenerator[LocalEngine]:
            engine = LocalEngine(
                lambda: self.ledger.open_worker(NAME, NAME),
                self._registry,
                resources,
                pipelines=pipelines,
                slots=slots or self._lanes,
                connection=self._script.connection,
                work=self._work,
                on_event=on_event,
                caller=ScriptedCaller(self._script),
            )
            async with engine:
                yield engine

        client = Client(self._registry, self.ledger, open_engine, resources.call, lanes=self._lanes)
        resources.give(Client, client)
        yield client

    async def _watched(self, work: Coroutine[Any, Any, R]) -> R:
        """Its result, unless the test turns out to be wrong before."""
        task = asyncio.create_task(work)
        broken = self._script.broken = asyncio.get_running_loop().create_future()
        watch = asyncio.create_task(self._watch())
        try:
            await asyncio.wait([task, broken], return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                broken.result()
            return task.result()
        finally:
            for one in (task, watch, broken):
                one.cancel()
            await asyncio.gather(task, watch, broken, return_exceptions=True)

    async def _watch(self) -> None:
        """A handler that waits for what never comes would keep the clock running for ever."""
        seen: object = None
        while True:
            await asyncio.sleep(PATIENCE)
            steps = [name for name, count in self._script.executing.items() if count]
            state = (len(self._script.calls), steps)
            if steps and state == seen:
                what = ", ".join(f"{self.pipeline.name}.{name}" for name in steps)
                self._script.give_up(Unprepared(f"{what} has not returned for hours of the simulation's time."))
            seen = state

    def _hear(self, event: Event) -> None:
        if event.type == "execution.waiting":
            self.waits.append(round(event.data["seconds"], 6))

    def _kill(self, run: Carried) -> None:
        process = self.ledger.tables.runs[run.id].lane.process
        for worker in list(self.ledger.workers):
            if worker.process == process:
                worker.kill()


class _Trusting(Registry):
    """Parameters are looked at when a handler is called: the app that would be checked is not here."""

    def check_shared(self, owner: str, parameter: str, want: Any, more: Iterable[str] = ()) -> None:
        """Nothing is refused before it is needed."""


class _Ledger(MemoryLedger):
    """A ledger in memory that knows the versions of the units which a test lists."""

    def __init__(self, clock: VirtualClock, listed: Listed, existing: Callable[[], Mapping[str, str | None]]) -> None:
        super().__init__(clock.now, existing=existing, prefix=PREFIX)
        self._listed = listed

    async def plan(self, query: PlanQuery) -> StoredPlan:
        """Find the gaps and store them."""
        return await super().plan(replace(query, wanted=self._listed(query)))


def _versions(units: Iterable[U] | Mapping[U, str]) -> dict[U, str | None]:
    if isinstance(units, Mapping):
        return dict(cast("Mapping[U, str]", units))
    return dict.fromkeys(units)
