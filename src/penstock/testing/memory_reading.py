"""What people and programs read of the memory ledger, as the views show it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from penstock.ledger.text import clean, clean_json
from penstock.model.attempt import PlanId, RunId
from penstock.model.redaction import redacted
from penstock.model.states import TERMINAL, StepState
from penstock.ports.records import StoredRun, StoredStep
from penstock.testing.memory_rows import KIND_PLAN, KIND_RUN, Attempt, Run, Tables, Unit, moment

SHOWN_UNITS = 1_000
SHOWN_ATTEMPTS = ("done", "failed", "skipped", "open", "cancelled")


class Reading:
    """The reading half of the memory ledger; see `ports.ledger`."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    async def run(self, run: RunId) -> StoredRun:
        """The run with its steps."""
        found = self.tables.found_run(run)
        return self._shown(found, tuple(_step(found, shape.name) for shape in found.shape.steps))

    async def runs(
        self,
        *,
        app: str,
        pipeline: str | None = None,
        plan: PlanId | None = None,
        ids: Sequence[RunId] | None = None,
        states: Sequence[str] = (),
        since: datetime | None = None,
        key: str | None = None,
        before: RunId | None = None,
        limit: int = 50,
    ) -> Sequence[StoredRun]:
        """Runs, newest first."""
        found: list[StoredRun] = []
        for number in sorted(self.tables.runs if ids is None else set(ids) & set(self.tables.runs), reverse=True):
            run = self.tables.runs[number]
            if (
                run.pipeline.app == app
                and (pipeline is None or run.pipeline.name == pipeline)
                and (plan is None or run.plan.id == plan)
                and (not states or run.state in states or ("crashed" in states and self._state(run) == "crashed"))
                and (since is None or run.created_at >= since.timestamp())
                and (key is None or any(part.unit.key == key for part in run.units.values()))
                and (before is None or run.id < before)
            ):
                found.append(self._shown(run))
                if len(found) == limit:
                    break
        return found

    def _state(self, run: Run) -> str:
        if run.state == "running":
            process = None if run.process is None else self.tables.processes[run.process]
            if process is None or process.lost or process.killed:
                return "crashed"
        return run.state

    def _shown(self, run: Run, steps: tuple[StoredStep, ...] = ()) -> StoredRun:
        return StoredRun(
            id=run.id,
            uuid=self.tables.public(KIND_RUN, run.id),
            app=run.pipeline.app,
            pipeline=run.pipeline.name,
            plan=self.tables.public(KIND_PLAN, run.plan.id),
            state=self._state(run),
            lane=run.lane.key,
            priority=5 - run.rank,
            units=tuple(dict(part.unit.unit) for part in list(run.units.values())[:SHOWN_UNITS]),
            size=len(run.units),
            not_before=moment(run.not_before),
            wait_reason=run.wait_reason,
            created_at=datetime.fromtimestamp(run.created_at, UTC),
            started_at=moment(run.started_at),
            finished_at=moment(run.finished_at),
            error_class=run.error_class,
            error=run.error,
            failed_step=run.failed_step,
            steps=steps,
        )

    async def unfinished(self, run: RunId) -> Sequence[Mapping[str, Any]]:
        """The units of an ended run that did not complete."""
        found = self.tables.runs.get(run)
        parts = found.units.values() if found else ()
        return [dict(part.unit.unit) for part in parts if found and (part.state or found.state) != "completed"]

    async def tally(self, plan: PlanId) -> Mapping[str, int]:
        """The plan's runs by state."""
        found = self.tables.plans.get(plan)
        return Counter(self.tables.runs[number].state for number in found.runs) if found else {}

    async def followed_up(self, plan: PlanId) -> Sequence[RunId]:
        """The plan's runs that another one follows up."""
        found = self.tables.plans.get(plan)
        runs = [self.tables.runs[number] for number in found.runs] if found else []
        return [run.origin for run in runs if run.origin is not None]

    async def units(
        self, *, app: str, pipeline: str, verdicts: Sequence[str] = (), after: int | None = None, limit: int = 50
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_units`; `after` is the `number` of the last row that was seen."""
        found = [
            unit
            for unit in self.tables.units.values()
            if (unit.pipeline.app, unit.pipeline.name) == (app, pipeline)
            and (not verdicts or unit.verdict in verdicts)
            and (after is None or unit.id > after)
        ]
        return [self._unit(unit) for unit in found[:limit]]

    async def unit(self, *, app: str, pipeline: str, key: str) -> Mapping[str, Any] | None:
        """The row of `v1_units` for this key."""
        unit = self.tables.unit_of.get((app, pipeline, key))
        return None if unit is None else self._unit(unit)

    def _unit(self, unit: Unit) -> Mapping[str, Any]:
        public = self.tables.public
        return {
            "app": unit.pipeline.app,
            "pipeline": unit.pipeline.name,
            "number": unit.id,
            "key": json.loads(unit.key),
            "unit": dict(unit.unit),
            "verdict": unit.verdict,
            "source_version": unit.source_version,
            "failures": unit.failures,
            "repeats": unit.repeats,
            "not_before": moment(unit.not_before),
            "completed_at": moment(unit.completed_at),
            "completed_version": unit.completed_version,
            "rev": unit.rev,
            "changed_at": moment(unit.changed_at),
            "last_run": None if unit.last_run is None else public(KIND_RUN, unit.last_run),
            "active_run": None if unit.active is None else public(KIND_RUN, unit.active),
        }

    async def logs(self, run: RunId, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Rows of `v1_logs`."""
        found = [(no, log) for no, log in enumerate(self.tables.logs, 1) if log.run == run and no > after]
        return [
            {
                "run": self.tables.public(KIND_RUN, log.run),
                "run_number": log.run,
                "number": number,
                "at": moment(log.at),
                "level": log.level,
                "step": log.step,
                "attempt": log.attempt,
                "message": clean(log.message),
                "fields": json.loads(clean_json(json.dumps(redacted(log.fields), default=str))) or None,
            }
            for number, log in found[:limit]
        ]

    async def health(self, app: str) -> Mapping[str, Any]:
        """Processes, live runs, last plan; there is no server."""
        tables = self.tables
        plans = [plan.created_at for plan in tables.plans.values() if plan.pipeline.app == app]
        return {
            "processes": sum(process.app == app and process.alive for process in tables.processes.values()),
            "live": dict(Counter(self._state(run) for run in tables.active.values() if run.pipeline.app == app)),
            "last_plan": moment(max(plans, default=None)),
            "outbox": sum(of_app == app for of_app, *_ in tables.outbox.values()),
            "server": "memory",
        }


def _step(run: Run, name: str) -> StoredStep:
    tries = sorted((a for a in run.attempts.values() if a.step == name), key=lambda attempt: attempt.seq)
    last = tries[-1] if tries else None
    length = 0.0 if last is None or last.finished_at is None else last.finished_at - last.started_at
    return StoredStep(
        step=name,
        state=_step_state(run, last),
        attempts=sum(attempt.state in SHOWN_ATTEMPTS for attempt in tries),
        seconds=length,
        error_class=last.error_class if last else None,
        error=last.error if last else None,
        output=json.loads(last.output) if last and last.output is not None else None,
    )


def _step_state(run: Run, last: Attempt | None) -> StepState | None:
    match last.state if last else None:
        case "done":
            return "completed"
        case "skipped":
            return "skipped"
        case "cancelled":
            return "cancelled"
        case None:
            return "skipped" if run.state in TERMINAL else None
        case "failed" if run.state in TERMINAL:
            return "failed"
        case _:
            return "cancelled" if run.state in TERMINAL else "running"
