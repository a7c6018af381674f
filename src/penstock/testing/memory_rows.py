"""The memory ledger's tables: the rows of PostgreSQL's, as mutable values in dictionaries."""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from penstock.model.attempt import Instant, PlanId, ProcessId, RunId, UnitId
from penstock.model.errors import NotFound
from penstock.model.shape import Shape
from penstock.model.states import AttemptState, ErrorClass, Reason, Verdict, WaitReason
from penstock.ports.records import LogRecord

KIND_RUN, KIND_PLAN = 1, 2
SOON = float("-inf")
"""When a lane is due that goes before all others."""


@dataclass(slots=True)
class Pipeline:
    """A pipeline that was planned once."""

    app: str
    name: str
    space: tuple[str, str]
    paused: bool = False


@dataclass(slots=True)
class Process:
    """A worker's lease. `killed` stands for a process that is no more and does not know."""

    id: ProcessId
    app: str
    lost: bool = False
    ended: bool = False
    killed: bool = False

    @property
    def alive(self) -> bool:
        """It may still write."""
        return not (self.lost or self.ended or self.killed)


@dataclass(slots=True)
class Lane:
    """`next_at` is when it may be claimed, None while it is idle or held."""

    id: int
    space: tuple[str, str]
    key: str
    next_at: float | None = None
    run: RunId | None = None
    process: ProcessId | None = None
    fence: int = 0
    narrow: PlanId | None = None
    """The plan that has no room for the first run; the lane sleeps."""
    heads: list[tuple[int, RunId]] = field(default_factory=list[tuple[int, RunId]])
    """Scheduled runs by rank, then number; those that are held or over are passed by."""


@dataclass(slots=True)
class Unit:
    """What is remembered of a unit; `active` is the run that holds it."""

    id: UnitId
    pipeline: Pipeline
    key: str
    unit: Mapping[str, Any]
    rev: int = 0
    verdict: Verdict = "none"
    source_version: str | None = None
    failures: int = 0
    repeats: int = 0
    not_before: float | None = None
    alone: bool = False
    completed_at: float | None = None
    completed_version: str | None = None
    last_run: RunId | None = None
    changed_at: float | None = None
    active: RunId | None = None


@dataclass(slots=True)
class RunUnit:
    """A unit of a run; `state` is set when it ended otherwise than its run."""

    no: int
    unit: Unit
    source_version: str | None
    reason: Reason
    state: str | None = None
    error_class: ErrorClass | None = None
    error: str | None = None


@dataclass(slots=True)
class Attempt:
    """One try of a step; `ended` is the order of its record."""

    seq: int
    step: str
    attempt: int
    state: AttemptState
    started_at: float
    finished_at: float | None = None
    ended: int | None = None
    units_left: int | None = None
    units_failed: int | None = None
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    reason: WaitReason | None = None
    output: str | None = None


@dataclass(slots=True)
class Call:
    """What a step came to for one unit of a batch."""

    step: str
    unit_no: int
    state: Literal["done", "skipped", "failed"]
    error_class: ErrorClass | None = None
    error: str | None = None
    not_before: Instant | None = None
    output: str | None = None


@dataclass(slots=True)
class RunCost:
    """What a run is expected to draw from a quota, and how much of it is reserved in the window that began then."""

    amount: Decimal
    reserved: Decimal = Decimal(0)
    starts: float | None = None


@dataclass(slots=True)
class Run:
    """A run. `held` says that it may not be taken as the head of its lane: paused, or not due yet."""

    id: RunId
    pipeline: Pipeline
    plan: Plan
    shape: Shape
    lane: Lane
    rank: int
    units: dict[int, RunUnit]
    created_at: float
    held: bool = False
    state: str = "scheduled"
    process: ProcessId | None = None
    claims: int = 0
    losses: int = 0
    cancel_requested: bool = False
    not_before: float | None = None
    wait_reason: WaitReason | None = None
    tries: int = 0
    origin: RunId | None = None
    started_at: float | None = None
    finished_at: float | None = None
    error_class: ErrorClass | None = None
    error: str | None = None
    failed_step: str | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    calls: dict[tuple[str, int], Call] = field(default_factory=dict[tuple[str, int], Call])
    costs: dict[str, RunCost] = field(default_factory=dict[str, "RunCost"])


@dataclass(slots=True, frozen=True)
class Item:
    """A gap of an open plan; `rev` is what planning saw of its unit."""

    position: int
    run_no: int
    key: str
    unit: Mapping[str, Any]
    lane: str
    rank: int
    priority: int
    reason: Reason
    source_version: str | None
    rev: int
    costs: tuple[tuple[str, Decimal], ...] = ()
    deferred_by: str | None = None
    deferred_until: float | None = None


@dataclass(slots=True)
class Plan:
    """A plan with what planning found."""

    id: PlanId
    pipeline: Pipeline
    shape: Shape
    definition: str
    params: str | None
    forced: bool
    created_at: float
    items: list[Item]
    counts: dict[Reason, int]
    run_count: int
    lane_count: int
    longest: int
    in_flight: int
    remembered: list[tuple[str, int, datetime | None]]
    repeating: int
    state: Literal["open", "applied", "discarded"] = "open"
    paused: bool = False
    applied_at: float | None = None
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    cost: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    deferred: list[tuple[str, int, datetime | None]] = field(default_factory=list[tuple[str, int, datetime | None]])
    window_ends: float | None = None
    parallel: int | None = None
    runs: list[RunId] = field(default_factory=list[RunId])


class Tables:
    """All rows, and the few things that every part of the memory ledger asks of them.

    Args:
        clock: Seconds since 1970.
        prefix: Twelve hex digits that make the public ids this ledger's own.
    """

    def __init__(self, clock: Callable[[], float], prefix: str | None = None) -> None:
        self.clock = clock
        self.prefix = prefix or uuid.uuid4().hex[:12]
        self.pipelines: dict[tuple[str, str], Pipeline] = {}
        self.processes: dict[ProcessId, Process] = {}
        self.lanes: dict[int, Lane] = {}
        self.lane_of: dict[tuple[tuple[str, str], str], Lane] = {}
        self.units: dict[UnitId, Unit] = {}
        self.unit_of: dict[tuple[str, str, str], Unit] = {}
        self.runs: dict[RunId, Run] = {}
        self.plans: dict[PlanId, Plan] = {}
        self.active: dict[RunId, Run] = {}
        self.onces: dict[UnitId, dict[tuple[str, str], dict[str, str]]] = {}
        self.logs: list[LogRecord] = []
        self.outbox: dict[UUID, tuple[str, str, float, RunId]] = {}
        self._ready: dict[tuple[str, str], list[tuple[float, int]]] = {}

    def lane(self, space: tuple[str, str], key: str) -> Lane:
        """The lane of this name, made when it is new."""
        lane = self.lane_of.get((space, key))
        if lane is None:
            lane = Lane(len(self.lanes) + 1, space, key)
            self.lanes[lane.id] = self.lane_of[space, key] = lane
        return lane

    def due(self, lane: Lane, at: float | None) -> None:
        """From `at` on the lane may be claimed."""
        lane.next_at = at
        if at is not None:
            heapq.heappush(self._ready.setdefault(lane.space, []), (at, lane.id))

    def ready(self, space: tuple[str, str], limit: int) -> list[Lane]:
        """The first lanes of a space that are due; each of them must be claimed or given a new time."""
        queue, now, found = self._ready.get(space, []), self.clock(), list[Lane]()
        while queue and queue[0][0] <= now and len(found) < limit:
            at, number = heapq.heappop(queue)
            lane = self.lanes[number]
            if lane.next_at == at and lane not in found:
                found.append(lane)
        return found

    def offer(self, run: Run) -> None:
        """The run may be taken as the head of its lane."""
        run.held = False
        heapq.heappush(run.lane.heads, (run.rank, run.id))

    def head(self, lane: Lane) -> Run | None:
        """The lane's first run that may start."""
        while lane.heads:
            run = self.runs[lane.heads[0][1]]
            if run.state == "scheduled" and not run.held:
                return run
            heapq.heappop(lane.heads)
        return None

    def wake(self, lane: Lane, rank: int = 5) -> None:
        """There is work for this lane; while a run holds it, that run's end looks."""
        if lane.run is None and (lane.next_at is None or lane.narrow is not None):
            lane.narrow = None
            self.due(lane, self.clock() - credit(rank))

    def make_room(self, plan: Plan) -> None:
        """Lanes that sleep for the plan may be claimed, as many as it has room for."""
        if plan.parallel is None:
            return
        asleep = [lane for lane in self.lanes.values() if lane.narrow == plan.id and lane.run is None]
        room = max(0, plan.parallel - sum(self.runs[number].state == "running" for number in plan.runs))
        for lane in sorted(asleep, key=lambda lane: lane.next_at or 0.0)[:room]:
            self.wake(lane, 6)

    def public(self, kind: int, number: int) -> UUID:
        """The public id of a run or plan."""
        return UUID(f"{self.prefix}8{kind:03x}8{number:015x}")

    def number(self, kind: int, value: UUID) -> int:
        """The number behind a public id.

        Raises:
            NotFound: It is another ledger's, or something else's.
        """
        text = value.hex
        if text[:12] != self.prefix or text[12:17] != f"8{kind:03x}8":
            raise NotFound(f"{value} is no {'run' if kind == KIND_RUN else 'plan'} of this ledger.")
        return int(text[17:], 16)

    def found_run(self, run: RunId) -> Run:
        """The run.

        Raises:
            NotFound: There is none.
        """
        try:
            return self.runs[run]
        except KeyError:
            raise NotFound(f"There is no run {run}.") from None

    def found_plan(self, plan: PlanId) -> Plan:
        """The plan.

        Raises:
            NotFound: There is none.
        """
        try:
            return self.plans[plan]
        except KeyError:
            raise NotFound(f"There is no plan {plan}.") from None


def credit(rank: int) -> float:
    """Priority between lanes is a credit in time, so that nothing starves."""
    return (10 - rank) * 60.0


def moment(at: float | None) -> datetime | None:
    """The time as people write it."""
    return None if at is None else datetime.fromtimestamp(at, UTC)
