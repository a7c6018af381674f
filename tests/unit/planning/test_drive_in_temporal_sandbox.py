"""`drive` in Temporal's sandbox, without a server: it loads there, runs to its end, replays and can be evicted.

None of Penstock's modules is passed through, so the driver and all that it imports meet the sandbox's restrictions.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.converter import DataConverter
from temporalio.worker import WorkflowInstance
from temporalio.worker._workflow_instance import WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError, SandboxedWorkflowRunner

from penstock.model.attempt import AttemptOutcome, Instant
from tests.unit.planning.driven_workflow import DrivenWorkflow

PAYLOADS = DataConverter.default.payload_converter
START = 1_700_000_000
NUMBERS = itertools.count()


class KeepingRunner(SandboxedWorkflowRunner):
    """Keeps the instance by which it validates, as a worker keeps one per run."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        object.__setattr__(self, "instance", instance)
        return instance


def load(workflow_type: type) -> WorkflowInstance:
    """Import the workflow's module and Penstock anew in the sandbox; raises for what is refused there."""
    runner = KeepingRunner()

    async def prepare() -> None:  # a worker has a running loop when it does this
        runner.prepare_workflow(workflow._Definition.must_from_class(workflow_type))

    asyncio.run(prepare())
    instance: WorkflowInstance = vars(runner)["instance"]
    return instance


class Server:
    """What Temporal's server and its activity workers do: answers commands, one activation at a time."""

    def __init__(self, script: dict[tuple[str, int], AttemptOutcome], workflow_type: type = DrivenWorkflow) -> None:
        self.script = script
        self.now = START
        self.commands: list[str] = []
        self.activities: list[tuple[str, int]] = []
        self.slept: list[float] = []
        self.result: Any = None
        self.workflow_type = workflow_type
        self.instance = load(workflow_type)

    def begin(self) -> list[WorkflowCommand]:
        job = WorkflowActivationJob()
        job.initialize_workflow.workflow_type = self.workflow_type.__name__
        job.initialize_workflow.arguments.extend(PAYLOADS.to_payloads([1]))
        return self._activate(job)

    def run(self) -> None:
        waiting = self.begin()
        while waiting:
            waiting += self._activate(self._answer(waiting.pop(0)))

    def evict(self) -> None:
        job = WorkflowActivationJob()
        job.remove_from_cache.SetInParent()
        self._activate(job)

    def _answer(self, command: WorkflowCommand) -> WorkflowActivationJob:
        job = WorkflowActivationJob()
        if command.HasField("schedule_activity"):
            step, n = PAYLOADS.from_payloads(list(command.schedule_activity.arguments))
            self.activities.append((step, n))
            out = self.script.get((step, n), AttemptOutcome("done", Instant(self.now)))
            job.resolve_activity.seq = command.schedule_activity.seq
            job.resolve_activity.result.completed.result.CopyFrom(PAYLOADS.to_payloads([out])[0])
        else:
            timer = command.start_timer
            seconds = timer.start_to_fire_timeout.ToTimedelta().total_seconds()
            self.slept.append(seconds)
            self.now += round(seconds)
            job.fire_timer.seq = timer.seq
        return job

    def _activate(self, job: WorkflowActivationJob) -> list[WorkflowCommand]:
        activation = WorkflowActivation(run_id="run", jobs=[job])
        activation.timestamp.FromSeconds(self.now)
        completion = self.instance.activate(activation)
        assert not completion.HasField("failed"), completion.failed.failure
        commands = list(completion.successful.commands)
        self.commands += [str(command) for command in commands]
        for command in commands:
            if command.HasField("complete_workflow_execution"):
                self.result = json.loads(command.complete_workflow_execution.result.data or b"null")
            assert not command.HasField("fail_workflow_execution"), command
        return [c for c in commands if c.HasField("schedule_activity") or c.HasField("start_timer")]


def failing_once() -> Server:
    return Server({("extract", 1): AttemptOutcome("failed", Instant(START), error_class="network")})


def test_driver_and_its_model_load_under_the_sandboxs_restrictions() -> None:
    load(DrivenWorkflow)


def test_run_with_a_retry_goes_to_its_end_in_the_sandbox() -> None:
    server = failing_once()
    server.run()
    assert server.activities == [
        ("extract", 1),
        ("extract", 2),
        ("prices", 1),
        ("volumes", 1),
        ("load", 1),
        ("report", 1),
    ]
    assert server.slept == [pytest.approx(10.5, abs=0.5)]
    assert server.result["state"] == "completed"
    assert set(server.result["steps"].values()) == {"completed"}


def test_replay_gives_the_same_commands() -> None:
    first, second = failing_once(), failing_once()
    first.run()
    second.run()
    assert first.commands == second.commands


def test_stop_cancels_the_timer_of_a_step_that_waits() -> None:
    hold = AttemptOutcome("held", Instant(START), not_before=Instant(START + 3600), reason="quota")
    server = Server({("prices", 1): hold, ("volumes", 1): AttemptOutcome("failed", Instant(START), error_class="data")})
    waiting = server.begin()
    while waiting:
        commands = [c for c in waiting if c.HasField("schedule_activity")]
        if not commands:
            break
        waiting.remove(commands[0])
        waiting += server._activate(server._answer(commands[0]))
    assert any("cancel_timer" in command for command in server.commands)
    assert server.result["state"] == "failed"
    assert server.result["failed_step"] == "volumes"
    assert server.result["steps"] == {
        "extract": "completed",
        "prices": "failed",
        "volumes": "failed",
        "load": "skipped",
        "report": "completed",
    }


@pytest.mark.parametrize("activations", [1, 2, 3, 4])
def test_eviction_leaves_no_task_behind(activations: int) -> None:
    """Temporal refuses an eviction after which a task is left: `drive` ends all that it started."""
    server = failing_once()
    waiting = server.begin()
    for _ in range(activations - 1):
        waiting += server._activate(server._answer(waiting.pop(0)))
    server.evict()


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, head: str = "", body: str = "return") -> type:
    """A workflow in a module of its own, with these lines at its import and in its run."""
    name = f"written_{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(
        "import asyncio, datetime, os, pathlib, random, time\n"
        "from temporalio import workflow\n"
        f"{head}\n"
        "@workflow.defn\n"
        "class Written:\n"
        "    @workflow.run\n"
        "    async def run(self, run: int) -> None:\n"
        f"        {body}\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    workflow_type: type = vars(importlib.import_module(name))["Written"]
    return workflow_type


def test_workflow_that_does_nothing_forbidden_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Server({}, written(tmp_path, monkeypatch)).run()


@pytest.mark.parametrize(
    "line",
    ["CHANCE = random.random()", "NOW = datetime.datetime.now()", "TEXT = pathlib.Path(__file__).read_text()"],
)
def test_module_that_is_not_deterministic_or_reads_files_does_not_load(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that loading the driver shows something."""
    workflow_type = written(tmp_path, monkeypatch, head=line)
    with pytest.raises(RestrictedWorkflowAccessError):
        load(workflow_type)


@pytest.mark.parametrize(
    "line", ["time.time()", "random.random()", "open(__file__)", "os.listdir()", "await asyncio.wait([])"]
)
def test_run_that_is_not_deterministic_or_reads_files_fails(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that running the driver shows something."""
    server = Server({}, written(tmp_path, monkeypatch, body=line))
    with pytest.raises(AssertionError, match=r"Cannot access|non-deterministic"):
        server.run()
