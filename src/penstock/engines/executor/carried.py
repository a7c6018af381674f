"""A run in hand: what was claimed, what is known of its steps, what its handlers may be told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from penstock.definition.pipeline import Pipeline
from penstock.model.attempt import Instant, RunId, UnitId
from penstock.model.errors import InvalidData
from penstock.model.results import Outcome
from penstock.model.shape import Shape, StepShape
from penstock.model.states import AttemptState, ErrorClass, StepState
from penstock.ports.records import Claimed, History, Hold

T = TypeVar("T")


@dataclass(slots=True)
class Slot:
    """One unit of the run. `failure` says where and why it is out."""

    no: int
    id: UnitId
    unit: Any
    version: str | None
    reason: str
    failure: UnitFailure | None = None


@dataclass(frozen=True, slots=True)
class UnitFailure:
    """Why one unit of a batch is out of its run."""

    step: str
    error_class: ErrorClass
    error: str
    not_before: Instant | None


@dataclass(slots=True)
class StepMemory(Generic[T]):
    """What is known of one step: its last state, its output as JSON, its failures."""

    state: StepState = "running"
    output: str | None = None
    error: str | None = None
    error_class: ErrorClass | None = None
    attempts: int = 0
    seconds: float = 0.0
    lost: int = 0
    calls: dict[int, str | None] = field(default_factory=dict[int, str | None])


class Carried:
    """A claimed run while this process carries it.

    Args:
        claimed: What the claim gave.
        pipeline: Its definition here.
        history: What is recorded of it.
    """

    def __init__(self, claimed: Claimed, pipeline: Pipeline[Any], shape: Shape, history: History) -> None:
        self.claimed, self.pipeline, self.shape = claimed, pipeline, shape
        self.steps: dict[str, StepShape] = {step.name: step for step in shape.steps}
        self.slots = [
            Slot(held.no, held.id, pipeline.units.load(held.unit), held.source_version, held.reason)
            for held in claimed.units
        ]
        self.memory: dict[str, StepMemory[Any]] = {}
        self.cancelled = claimed.cancel
        self.cancel_event = asyncio.Event()
        if self.cancelled:
            self.cancel_event.set()
        self.handing_over = False
        self.closing = any(self._closes(a.step) for a in history.attempts)
        self.losses = claimed.losses
        self.moved = False  # an outcome was recorded since this claim
        self.until: Instant | None = None
        self.last_at = claimed.started
        self.interrupts: list[Callable[[], None]] = []
        self._seq = self._ended = 0
        self._recall(history)

    @property
    def hold(self) -> Hold:
        """What every write shows."""
        return self.claimed.hold

    @property
    def id(self) -> RunId:
        """The run."""
        return self.claimed.hold.run

    @property
    def alive(self) -> list[Slot]:
        """The units that are still in the run."""
        return [slot for slot in self.slots if slot.failure is None]

    @property
    def is_batch(self) -> bool:
        """Whether a unit can fail alone."""
        return self.shape.batch > 1

    @property
    def forced(self) -> bool:
        """Whether its units were made although nothing was missing."""
        return all(slot.reason == "forced" for slot in self.slots)

    def _closes(self, step: str) -> bool:
        return step in self.steps and self.steps[step].when != "ok"

    def next_seq(self) -> int:
        """The number of the next attempt's row."""
        self._seq += 1
        return self._seq

    def next_ended(self) -> int:
        """The place of the next outcome."""
        self._ended += 1
        return self._ended

    def step(self, name: str) -> StepMemory[Any]:
        """What is known of a step."""
        if name not in self.memory:
            self.memory[name] = StepMemory()
        return self.memory[name]

    def request_cancel(self) -> None:
        """Somebody asked: handlers are interrupted, sleepers woken."""
        if not self.cancelled:
            self.cancelled = True
            self.cancel_event.set()
            for interrupt in list(self.interrupts):
                interrupt()

    def output(self, name: str, *, slot: Slot | None = None) -> Any:
        """A step's output for the handler of a later one.

        Raises:
            InvalidData: There is none, since the step was skipped.
        """
        step, memory = self.pipeline.steps[name], self.step(name)
        per_unit = self.is_batch and self.steps[name].per_unit
        text = memory.calls.get(slot.no) if per_unit and slot is not None else memory.output
        if text is None:
            if step.signature.returns in (None, type(None)):
                return None
            msg = (
                f"{step}.output was asked for, but {name} was skipped and gave none. Say after={name} and read "
                f"ctx.outcome({name}), whose output is None then."
            )
            raise InvalidData(msg)
        return step.signature.adapter.validate_json(text)

    def outputs(self, name: str) -> list[Any]:
        """A per-unit step's outputs for the units that are still in, in order."""
        adapter, memory = self.pipeline.steps[name].signature.adapter, self.step(name)
        if not (self.is_batch and self.steps[name].per_unit):
            return [self.output(name)]
        texts = [memory.calls.get(slot.no) for slot in self.alive]
        return [adapter.validate_json(text) for text in texts if text is not None]

    def outcome(self, name: str, *, slot: Slot | None = None) -> Outcome[Any]:
        """What became of a step, for `ctx.outcome`."""
        memory = self.memory.get(name)
        if memory is None:
            return Outcome(name, "skipped", None, None, None, 0, 0.0)
        output = None
        text = memory.calls.get(slot.no) if slot is not None and memory.calls else memory.output
        if memory.state == "completed" and text is not None:
            output = self.pipeline.steps[name].signature.adapter.validate_json(text)
        return Outcome(name, memory.state, output, memory.error, memory.error_class, memory.attempts, memory.seconds)

    def _recall(self, history: History) -> None:
        by_no = {slot.no: slot for slot in self.slots}
        for call in history.calls:
            slot = by_no.get(call.unit_no)
            if slot is None:
                continue
            if call.state == "failed":
                slot.failure = UnitFailure(call.step, call.error_class or "unknown", call.error or "", call.not_before)
            else:
                self.step(call.step).calls[call.unit_no] = call.output
        last: Counter[str] = Counter()
        for attempt in history.attempts:  # outcomes first, in the order of their record, then the rest by seq
            self._seq = max(self._seq, attempt.seq)
            memory = self.step(attempt.step)
            if attempt.outcome is None:
                died = attempt.state == "lost" and attempt.reason != "handover"
                memory.lost += died and attempt.seq > last[attempt.step]
                continue
            self._ended += 1
            last[attempt.step] = attempt.seq
            memory.attempts += attempt.state != "held"
            memory.state, memory.seconds = step_state(attempt.state), attempt.seconds
            memory.output, memory.error, memory.error_class = attempt.output, attempt.error, attempt.error_class
            self.last_at = max(self.last_at, attempt.outcome[2].at)
            if attempt.state == "failed":
                self.until = attempt.not_before


_STATES: Mapping[AttemptState, StepState] = {
    "done": "completed",
    "skipped": "skipped",
    "failed": "failed",
    "cancelled": "cancelled",
}


def step_state(state: AttemptState) -> StepState:
    """The state of a step whose last attempt is in this one."""
    return _STATES.get(state, "running")


def units_of(slots: Sequence[Slot]) -> list[Any]:
    """The units themselves."""
    return [slot.unit for slot in slots]
