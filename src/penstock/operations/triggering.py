"""Triggers: one run over all units that somebody named, and what the answer is when there is nothing to run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry
from penstock.model.attempt import PlanId, RunId
from penstock.model.errors import Conflict, InvalidData, NotFound
from penstock.model.results import Plan
from penstock.operations.client import Client
from penstock.operations.executions import Status, status_of
from penstock.operations.planning import TOP
from penstock.ports.service import ServiceLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggered:
    """The answer to a trigger: the one execution that does it, or does it already."""

    execution_id: UUID
    status: Status
    estimated_start: datetime
    state: str
    plan: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a trigger is about."""

    where: Mapping[str, object]
    start: date | None
    end: date | None
    force: bool
    params: object


class Triggers:
    """Starts runs for programs: what the API's trigger and backfill do.

    Args:
        registry: The app's pipelines.
        ledger: Where runs are.
        client: Plans.
    """

    def __init__(self, registry: Registry, ledger: ServiceLedger, client: Client) -> None:
        self._registry, self._ledger, self._client = registry, ledger, client

    async def target(self, pipeline_id: str, *, org: str | None = None) -> tuple[Pipeline[Any], dict[str, Any]]:
        """What an id stands for: a pipeline by name or public id, or the first pipeline that has such an instance.

        Of pipelines that follow one another the first is meant: the others come after it by themselves.

        Args:
            pipeline_id: The id.
            org: The organization that asks: it is told no names of pipelines that know no organizations.

        Returns:
            The pipeline, and the value that its instance field must have.

        Raises:
            NotFound: Nothing has this id.
        """
        if pipeline_id in self._registry.pipelines:
            return self._registry.pipelines[pipeline_id], {}
        try:
            name = await self._ledger.pipeline_of(self._registry.name, UUID(pipeline_id))
        except ValueError:
            name = None
        if name is not None:
            return self._registry.pipeline(name), {}
        for pipeline in self._registry.pipelines.values():
            follows = any(earlier.instance for earlier in pipeline.after)
            if pipeline.instance is None or follows:
                continue
            try:
                return pipeline, {pipeline.instance: pipeline.units.value(pipeline.instance, pipeline_id)}
            except InvalidData:
                continue
        seen = [each.name for each in self._registry.pipelines.values() if org is None or each.org is not None]
        known = ", ".join(seen)
        raise NotFound(f"There is no pipeline {pipeline_id!r}; give the id of one, or one of the names {known}.")

    async def trigger(
        self,
        pipeline: Pipeline[Any],
        *,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
        org: str | None = None,
        triggered_by: str = "api",
    ) -> Triggered:
        """One run over all units of these values and days, before all others.

        Where the units are at work already, the answer is their run; where nothing is to do, a run in state `skipped`.

        Args:
            pipeline: Whose.
            where: Values that fields of the unit must have.
            start: The first day, for a pipeline with `date`.
            end: The last day.
            force: Also what exists.
            params: The pipeline's params class, or a mapping.
            org: The organization that asks; its units alone are taken. None may ask for all.
            triggered_by: Kept with the plan.

        Raises:
            NotFound: There is no such unit at all.
            InvalidData: The units are of several lanes, so that no one run may have them: ask for a backfill.
            Conflict: Its quotas have no room for it now.
        """
        chosen = self.bounded(pipeline, where, org)
        ask = Asked(where=chosen, start=start, end=end, force=force, params=params)
        plan = await self._plan(pipeline, ask, triggered_by=triggered_by)
        if sum(plan.counts.values()) == 0:
            return await self._nothing(pipeline, plan, ask, triggered_by)
        if pipeline.lane is not None and plan.lanes > 1:
            await self._ledger.discard(PlanId(plan.number))
            msg = (
                f"These units of {pipeline.name} are of {plan.lanes} lanes ({pipeline.lane}), and one run has "
                f"the units of one lane. Narrow it, or ask for a backfill, which makes a run for each."
            )
            raise InvalidData(msg)
        if plan.deferred and not plan.admitted:
            await self._ledger.discard(PlanId(plan.number))
            quotas = ", ".join(sorted({one.quota for one in plan.deferred}))
            msg = f"What these units of {pipeline.name} may cost does not fit {quotas} now; see penstock quotas."
            raise Conflict(msg)
        await self._ledger.apply(PlanId(plan.number), triggered_by=triggered_by)
        run = await self._ledger.first_run(PlanId(plan.number))
        if run is None:  # others were quicker: theirs is the run
            return await self._nothing(pipeline, plan, ask, triggered_by)
        return await self._answer(run, plan)

    def bounded(
        self, pipeline: Pipeline[Any], where: Mapping[str, object] | None, org: str | None
    ) -> dict[str, object]:
        """What may be asked for by an organization: its own units, and none of a pipeline that knows no organizations.

        Raises:
            NotFound: The pipeline, or the organization asked for, is not this one's to start.
        """
        chosen = dict(where or {})
        if org is None:
            return chosen
        if pipeline.org is None:
            raise NotFound(f"There is no pipeline {pipeline.name} for organization {org}.")
        own = pipeline.units.value(pipeline.org, org)
        if pipeline.org in chosen and pipeline.units.value(pipeline.org, chosen[pipeline.org]) != own:
            raise NotFound(f"There is no {pipeline.org}={chosen[pipeline.org]} for organization {org}.")
        return chosen | {pipeline.org: own}

    async def _nothing(self, pipeline: Pipeline[Any], plan: Plan[Any], ask: Asked, triggered_by: str) -> Triggered:
        """The run that does it already, or one that says that there is nothing to do."""
        fields = {name: pipeline.units.value(name, value) for name, value in ask.where.items()}
        bodies = {name: pipeline.units.dumped(name, value) for name, value in fields.items()}
        days = None if pipeline.date is None else (pipeline.date, ask.start, ask.end)
        holder = await self._ledger.holder(
            app=self._registry.name, pipeline=pipeline.name, where=bodies, keys=None, days=days
        )
        if holder is not None:
            with contextlib.suppress(Conflict):  # others were quicker, and it was applied without making a run
                await self._ledger.discard(PlanId(plan.number))
            return await self._answer(holder, None)
        if not ask.force and not plan.remembered and not await self._exists(pipeline, ask):
            await self._ledger.discard(PlanId(plan.number))
            asked = ", ".join(f"{name}={value}" for name, value in bodies.items()) or "these days"
            raise NotFound(f"{pipeline.name} has no units of {asked}; nothing wants them.")
        org, instance = (None if name is None else bodies.get(name) for name in (pipeline.org, pipeline.instance))
        run = await self._ledger.skip(
            PlanId(plan.number),
            triggered_by=triggered_by,
            org=None if org is None else str(org),
            instance=None if instance is None else str(instance),
        )
        return await self._answer(run, plan)

    async def _exists(self, pipeline: Pipeline[Any], ask: Asked) -> bool:
        """Whether anything is wanted there at all, made already or not."""
        plan = await self._plan(pipeline, replace(ask, force=True), triggered_by="api")
        await self._ledger.discard(PlanId(plan.number))
        return sum(plan.counts.values()) > 0

    async def _plan(self, pipeline: Pipeline[Any], ask: Asked, *, triggered_by: str) -> Plan[Any]:
        return await self._client.plan(
            pipeline,
            where=ask.where,
            start=ask.start,
            end=ask.end,
            force=ask.force,
            params=ask.params,
            one_run=True,
            priority=TOP,
            triggered_by=triggered_by,
        )

    async def _answer(self, run: RunId, plan: Plan[Any] | None) -> Triggered:
        stored = await self._ledger.run(run)
        begins = stored.started_at or stored.not_before or datetime.now(UTC) + timedelta(seconds=1)
        return Triggered(
            execution_id=stored.uuid,
            status=status_of(stored.state),
            estimated_start=begins,
            state=stored.state,
            plan=stored.plan if plan is None else plan.id,
        )
