"""The client: every operation, for async code, the command line and the API alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

from typing_extensions import TypeVar

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import Conflict, PlanStale
from penstock.model.results import Event, Gap, Plan, Run, Summary, Why
from penstock.model.states import TERMINAL, RunState
from penstock.model.values import Day, SqlGaps
from penstock.operations.explaining import explain
from penstock.operations.overriding import Overrides
from penstock.operations.owning import own_plan, own_run
from penstock.operations.planning import TOP, Ask, Call, check_fresh, plan_query, public_gap, public_plan
from penstock.operations.results import public_run, summary_of
from penstock.ports.engine import Engine, OnEvent, OpenEngine
from penstock.ports.ledger import Ledger
from penstock.ports.records import QuotaUse, StoredRun

U = TypeVar("U", default=Day)
PAGE = 1_000


class Client:
    """Every operation that the command line and the API have; from `app.client()`, or as a step's parameter.

    Ids may be given as the UUID that results carry or as the ledger's number.
    """

    def __init__(self, registry: Registry, ledger: Ledger, open_engine: OpenEngine, call: Call, *, lanes: int) -> None:
        self._registry, self._ledger, self._open_engine, self._call = registry, ledger, open_engine, call
        self._lanes, self.overrides = lanes, Overrides(registry, ledger)
        self._listeners: list[asyncio.Queue[Event]] = []
        self._engines: set[Engine] = set()

    async def plan(
        self,
        pipeline: Pipeline[U],
        *,
        units: Iterable[U] | None = None,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
        one_run: bool = False,
        priority: int | None = None,
        triggered_by: str = "manual",
    ) -> Plan[U]:
        """What would run, and what would not and why. Stored; nothing runs.

        Args:
            pipeline: Whose gaps.
            units: Narrow the plan to these; needed where the pipeline finds no gaps of its own.
            where: Narrow it to units whose fields have these values.
            start: The first day, for a pipeline with `date`.
            end: The last day.
            force: What exists is a gap too, of reason `forced`, and nothing is remembered.
            params: What a trigger says: the pipeline's params class, or a mapping.
            one_run: All units in one run, whatever the pipeline's batch is.
            priority: From -4 to 5, higher first; that of the units by default.
            triggered_by: Kept with the plan.

        Raises:
            DefinitionError: The gap SQL is wrong; the message has PostgreSQL's words.
            InvalidData: A value does not fit.
        """
        ask = Ask(
            units=None if units is None else list(units), where=where, start=start, end=end, force=force,
            params=params, one_run=one_run, priority=priority, triggered_by=triggered_by,
        )  # fmt: skip
        return await self._plan(pipeline, ask)

    async def _plan(self, pipeline: Pipeline[Any], ask: Ask) -> Plan[Any]:
        shape = await self.overrides.shape(pipeline)
        query = await plan_query(self._registry.name, pipeline, ask, self._call, datetime.now(UTC), shape=shape)
        return public_plan(await self._ledger.plan(query), self._lanes)

    async def show_plan(self, plan: UUID | int) -> Plan[Any]:
        """A stored plan.

        Raises:
            NotFound: There is none.
        """
        stored = own_plan(await self._ledger.stored_plan(self._plan_id(plan)), self._registry.name)
        return public_plan(stored, self._lanes)

    async def gaps(self, plan: Plan[U]) -> AsyncIterator[Gap[U]]:
        """The gaps of an open plan in order, a page at a time."""
        pipeline, after = self._registry.pipeline(plan.pipeline), 0
        while page := await self._ledger.gaps(PlanId(plan.number), after, PAGE):
            for gap in page:
                yield public_gap(pipeline, gap)
            after = page[-1].position

    async def gap_page(self, plan: Plan[U], after: int, limit: int = PAGE) -> tuple[list[Gap[U]], int]:
        """One page of gaps after a position, and the position to go on from."""
        pipeline = self._registry.pipeline(plan.pipeline)
        page = await self._ledger.gaps(PlanId(plan.number), after, limit)
        return [public_gap(pipeline, gap) for gap in page], page[-1].position if page else after

    async def apply(
        self,
        plan: Plan[U] | UUID | int,
        *,
        lanes: int | None = None,
        on_event: OnEvent | None = None,
        triggered_by: str = "manual",
    ) -> Summary[U]:
        """Run exactly this plan, and what dead processes left of its pipeline. Returns when nothing is left to do.

        Args:
            plan: The plan, or its id.
            lanes: Runs at once; the setting by default.
            on_event: Told of what happens in this process; called in the event loop, so it must be quick.
            triggered_by: Kept with the plan.

        Raises:
            PlanStale: Its definition changed or it is over 24 hours old.
            Conflict: It was discarded.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        plan_id = await self.begin(plan, triggered_by)
        stored = await self._ledger.stored_plan(plan_id)
        pipeline = self._registry.pipeline(stored.pipeline)
        async with self._open_engine([pipeline.name], slots=lanes, on_event=self._hear(on_event)) as engine:
            self._engines.add(engine)
            try:
                drained = await engine.drain(plan_id)
            finally:
                self._engines.discard(engine)
        return await summary_of(self._ledger, pipeline, stored, drained.ended, clock() - began)

    async def run(
        self,
        pipeline: Pipeline[U],
        *,
        units: Iterable[U] | None = None,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
        lanes: int | None = None,
        on_event: OnEvent | None = None,
        triggered_by: str = "manual",
    ) -> Summary[U]:
        """Plan and apply in one; see both."""
        ask = Ask(
            units=None if units is None else list(units), where=where, start=start, end=end, force=force,
            params=params, triggered_by=triggered_by,
        )  # fmt: skip
        plan = await self._plan(pipeline, ask)
        try:
            return await self.apply(plan, lanes=lanes, on_event=on_event, triggered_by=triggered_by)
        except PlanStale:  # a quota's window ended in between
            plan = await self._plan(pipeline, ask)
            return await self.apply(plan, lanes=lanes, on_event=on_event, triggered_by=triggered_by)

    async def start(
        self,
        pipeline: Pipeline[U],
        *,
        units: Iterable[U] | None = None,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
        parallel: int | None = None,
        triggered_by: str = "manual",
    ) -> Plan[U]:
        """Plan and hand over to whoever works: applied, and not waited for. See `plan` for what narrows it.

        With `parallel`, no more of its runs are at work at once, whoever carries them.
        """
        plan = await self.plan(
            pipeline, units=units, where=where, start=start, end=end, force=force, params=params,
            triggered_by=triggered_by,
        )  # fmt: skip
        return await self.show_plan(await self.begin(plan, triggered_by, parallel))

    async def work(
        self,
        pipelines: Sequence[Pipeline[Any]] | None = None,
        *,
        lanes: int | None = None,
        on_event: OnEvent | None = None,
        stay: bool = False,
    ) -> frozenset[RunId]:
        """Carry out what is there already, whoever planned it, until nothing is left; returns the runs ended here.

        With `stay` it goes on until `stop`, and returns none.
        """
        names = [p.name for p in pipelines] if pipelines is not None else list(self._registry.pipelines)
        async with self._open_engine(names, slots=lanes, on_event=self._hear(on_event)) as engine:
            self._engines.add(engine)
            try:
                return (await engine.drain(stay=stay)).ended
            finally:
                self._engines.discard(engine)

    async def stop(self, grace: float) -> None:
        """Stop the work of this client: nothing more is claimed, what does not finish in `grace` seconds goes back."""
        await asyncio.gather(*(engine.stop(grace) for engine in list(self._engines)))

    @property
    def at_work(self) -> bool:
        return bool(self._engines) and all(engine.at_work for engine in self._engines)

    async def discard(self, plan: UUID | int) -> None:
        """Put an open plan away.

        Raises:
            Conflict: It is applied already.
        """
        await self._ledger.discard(self._plan_id(plan))

    async def runs(
        self,
        pipeline: Pipeline[U],
        *,
        state: RunState | None = None,
        since: datetime | None = None,
        unit: U | None = None,
        plan: UUID | int | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[Run[U]]:
        """Runs, newest first, without their steps; `before` pages by number."""
        found = await self._ledger.runs(
            app=self._registry.name,
            pipeline=pipeline.name,
            plan=None if plan is None else self._plan_id(plan),
            states=[state] if state else [],
            since=since,
            key=None if unit is None else pipeline.units.key_text(unit),
            before=None if before is None else RunId(before),
            limit=limit,
        )
        return [public_run(pipeline, run) for run in found]

    async def show_run(self, run: UUID | int) -> Run[Any]:
        """One run with its steps.

        Raises:
            NotFound: There is none.
        """
        stored = await self._stored(run)
        return public_run(self._registry.pipeline(stored.pipeline), stored)

    async def units(
        self, pipeline: Pipeline[Any], *, verdict: str | None = None, after: int | None = None, limit: int = 50
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of `penstock.v1_units`; `after` pages by number."""
        return await self._ledger.units(
            app=self._registry.name, pipeline=pipeline.name, verdicts=[verdict] if verdict else [], after=after,
            limit=limit,
        )  # fmt: skip

    async def logs(self, run: UUID | int, *, after: int = 0, limit: int = PAGE) -> Sequence[Mapping[str, Any]]:
        """Rows of `penstock.v1_logs` of one run."""
        stored = await self._stored(run)
        return await self._ledger.logs(stored.id, after, limit)

    async def why(self, pipeline: Pipeline[U], unit: U | Mapping[str, object]) -> Why:
        """Why a unit was run or not: a sentence, and the row that decides it.

        Args:
            pipeline: Whose unit.
            unit: The unit, or the values of its key's fields: facts need not be known.
        """
        if isinstance(unit, Mapping):
            key = {name: cast("Mapping[str, Any]", unit)[name] for name in pipeline.key}
        else:
            key = {name: getattr(unit, name) for name in pipeline.key}
        text = pipeline.units.key.text(key)
        row = await self._ledger.unit(app=self._registry.name, pipeline=pipeline.name, key=text)
        presence: dict[str, Any] = {"wanted": {"version": (row or {}).get("source_version")}, "ledger_only": True}
        if pipeline.gaps is not None:
            query = await plan_query(self._registry.name, pipeline, Ask(), self._call, datetime.now(UTC))
            if isinstance(pipeline.gaps, SqlGaps):
                presence = dict(await self._ledger.presence(replace(query, keys=(text,)), text))
                presence["ledger_only"] = pipeline.gaps.existing is None
            elif not any(unit.key == text for unit in query.wanted if not isinstance(unit, str)):
                presence["wanted"] = None
        run = await self._stored(row["active_run"]) if row and row["active_run"] else None
        return explain(pipeline.name, key, row, presence, datetime.now(UTC), run=run)

    async def retry(self, run: UUID | int) -> Plan[Any]:
        """A new run over the units of an ended run that did not complete; its completed steps are taken over.

        Failures and waiting times of these units are forgotten. It is applied; `work` or a service carries it out.

        Raises:
            Conflict: The run is not over, or all its units completed.
        """
        stored = await self._stored(run)
        if stored.state not in TERMINAL:
            raise Conflict(f"Run {stored.id} is {stored.state}; only a run that is over can be tried again.")
        pipeline = self._registry.pipeline(stored.pipeline)
        units = [pipeline.units.load(body) for body in await self._ledger.unfinished(stored.id)]
        if not units:
            msg = f"Every unit of run {stored.id} completed; to make them again: penstock run {pipeline.name} --force."
            raise Conflict(msg)
        await self._ledger.forget(self._registry.name, pipeline.name, [pipeline.units.key_text(u) for u in units])
        ask = Ask(units=units, force=True, triggered_by="retry", one_run=True, priority=TOP)
        plan = await self._plan(pipeline, ask)
        await self._ledger.apply(PlanId(plan.number), triggered_by="retry", copy_from=stored.id)
        return await self.show_plan(plan.number)

    async def cancel(self, run: UUID | int | None = None, *, plan: UUID | int | None = None) -> Mapping[int, str]:
        """Cancel a run or all live runs of a plan; returns the state of each by number.

        One that never began is cancelled now; any other as soon as its handler is interrupted.
        """
        if (run is None) == (plan is None):
            raise TypeError("cancel takes a run or a plan, one of them")
        done = await self._ledger.cancel(
            run=None if run is None else self._run_id(run), plan=None if plan is None else self._plan_id(plan)
        )
        return {int(number): state for number, state in done.items()}

    async def pause(self, plan: UUID | int | None = None, *, pipeline: Pipeline[Any] | None = None) -> None:
        """No further run of the plan, or of the pipeline, starts."""
        await self._pause(plan, pipeline, paused=True)

    async def resume(self, plan: UUID | int | None = None, *, pipeline: Pipeline[Any] | None = None) -> None:
        """Runs of the plan, or of the pipeline, start again."""
        await self._pause(plan, pipeline, paused=False)

    async def _pause(self, plan: UUID | int | None, pipeline: Pipeline[Any] | None, *, paused: bool) -> None:
        if pipeline is not None:
            await self._ledger.pause(pipeline=(self._registry.name, pipeline.name), paused=paused)
        elif plan is not None:
            await self._ledger.pause(plan=self._plan_id(plan), paused=paused)

    async def quotas(self) -> Sequence[QuotaUse]:
        """Every quota that was ever planned with or drawn from, in its present window."""
        return await self._ledger.quotas(self._registry.name)

    async def health(self) -> Mapping[str, Any]:
        """The server, living processes, live runs by state, the last plan, events not handed over."""
        return await self._ledger.health(self._registry.name)

    async def events(self) -> AsyncIterator[Event]:
        """What happens in this client's own engines; begin to listen before the work begins."""
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=10_000)
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """A psycopg connection to the ledger's database, for code outside a run; committed when the block ends well."""
        return self._ledger.connection()

    async def begin(self, plan: Plan[Any] | UUID | int, triggered_by: str, parallel: int | None = None) -> PlanId:
        plan_id = PlanId(plan.number) if isinstance(plan, Plan) else self._plan_id(plan)
        stored = own_plan(await self._ledger.stored_plan(plan_id), self._registry.name)
        pipeline = self._registry.pipeline(stored.pipeline)
        check_fresh(stored, pipeline, await self.overrides.shape(pipeline))
        await self._ledger.apply(plan_id, triggered_by=triggered_by, parallel=parallel)
        return plan_id

    def _hear(self, on_event: OnEvent | None) -> Callable[[Event], None] | None:
        if on_event is None and not self._listeners:
            return None

        def heard(event: Event) -> None:
            if on_event is not None:
                on_event(event)
            for queue in self._listeners:
                if not queue.full():
                    queue.put_nowait(event)

        return heard

    async def _stored(self, run: UUID | int) -> StoredRun:
        return own_run(await self._ledger.run(self._run_id(run)), self._registry.name)

    def _run_id(self, run: UUID | int) -> RunId:
        return RunId(run) if isinstance(run, int) else self._ledger.run_id(run)

    def _plan_id(self, plan: UUID | int) -> PlanId:
        return PlanId(plan) if isinstance(plan, int) else self._ledger.plan_id(plan)
