"""Two engines, people and misfortune at one real ledger, in every order that hypothesis thinks of.

After each step the ledger is looked at with `invariants.sql` and compared with what it was. PENSTOCK_EXAMPLES sets how
many stories are told, PENSTOCK_STEPS how long each of them is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from penstock.ledger.postgres import PostgresLedger
from penstock.model.attempt import PlanId
from penstock.model.quota import UnitCost
from penstock.model.shape import Shape
from penstock.ports.records import Claimed, ListedUnit
from penstock.testing.contracts.ledger_case import BATCHES, STEPS, listed
from tests.model.watching import Watch
from tests.model.world import DAY, HOUR, PIPELINES, Process, World

STORIES = int(os.environ.get("PENSTOCK_EXAMPLES", "12"))
LENGTH = int(os.environ.get("PENSTOCK_STEPS", "40"))

places = st.integers(0, 11)
names = st.sampled_from(sorted(PIPELINES))
some_pipelines = st.lists(names, min_size=1, max_size=3, unique=True)
units = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=7, unique=True)
shapes = st.sampled_from([STEPS, BATCHES, Shape(steps=STEPS.steps, version=2)])
versions = st.sampled_from([None, "1", "2"])
ends = st.sampled_from(["completed", "failed", "partial", "cancelled"])
classes = st.sampled_from(["network", "data", "rejected", "no_data", "quota", "auth", "lost"])
spans = st.sampled_from([-1.0, HOUR / 10, 6 * HOUR])


class Machine(RuleBasedStateMachine):
    """The rules; `World` does them."""

    runner: asyncio.Runner
    ledger: PostgresLedger
    watch: Watch

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.ledger, self.watch)
        self.broken = False

    def do(self, work: Coroutine[Any, Any, None], *, pruned: bool = False) -> None:
        """Let it happen, then look."""
        self.broken = True
        self.runner.run(work)
        self.world.check(pruned=pruned)
        self.broken = False

    def one(self, place: int) -> Process:
        return self.world.alive[place % len(self.world.alive)]

    def hold(self, place: int) -> tuple[Process, Claimed]:
        return self.world.holding[place % len(self.world.holding)]

    def a_plan(self, place: int) -> PlanId:
        return self.world.plans[place % len(self.world.plans)]

    @initialize()
    def two_processes(self) -> None:
        self.world.empty()
        self.do(self.world.open())
        self.do(self.world.open())

    def teardown(self) -> None:
        try:
            if not self.broken and self.world.processes:
                self.runner.run(self.world.finish())
        finally:
            self.runner.run(self.world.close())

    @rule(pipeline=names, wanted=units, shape=shapes, version=versions, laned=st.booleans(), forced=st.booleans(),
          cost=st.integers(0, 2), apply=st.booleans())  # fmt: skip
    def plan(  # noqa: PLR0917 - hypothesis gives them by name
        self,
        pipeline: str,
        wanted: list[str],
        shape: Shape,
        version: str | None,
        laned: bool,
        forced: bool,
        cost: int,
        apply: bool,
    ) -> None:
        given: list[ListedUnit] = [
            listed(name, lane="xyz"[ord(name) % 3] if laned else None, priority=ord(name) % 2, version=version)
            for name in wanted
        ]
        self.do(self.world.plan({"pipeline": pipeline, "wanted": given, "shape": shape, "forced": forced,
                                 "lane": "lane" if laned else None,
                                 "costs": (UnitCost(DAY, amount=Decimal(cost)),) if cost else ()}))  # fmt: skip
        if apply:
            self.do(self.world.apply(self.world.plans[-1]))

    @rule(pipeline=names, wanted=units)
    def trigger(self, pipeline: str, wanted: list[str]) -> None:
        given = [listed(name, lane="x") for name in wanted]
        self.do(self.world.plan({"pipeline": pipeline, "wanted": given, "lane": "lane", "one_run": True,
                                 "shape": BATCHES, "priority": 5}))  # fmt: skip
        self.do(self.world.apply(self.world.plans[-1]))

    @precondition(lambda self: self.world.plans)
    @rule(place=places)
    def apply(self, place: int) -> None:
        self.do(self.world.apply(self.a_plan(place)))

    @precondition(lambda self: self.world.plans)
    @rule(place=places)
    def discard(self, place: int) -> None:
        self.do(self.world.discard(self.a_plan(place)))

    @rule(who=places, count=st.integers(1, 5), pipelines=some_pipelines)
    def claim(self, who: int, count: int, pipelines: list[str]) -> None:
        self.do(self.world.claim(self.one(who), count, pipelines))

    @precondition(lambda self: self.world.holding)
    @rule(
        place=places, state=st.sampled_from(["open", "done", "failed", "held"]), step=st.sampled_from(["read", "write"])
    )
    def attempt(self, place: int, state: str, step: str) -> None:
        self.do(self.world.attempt(*self.hold(place), state=state, step=step))

    @precondition(lambda self: self.world.holding)
    @rule(place=places, state=ends, error=classes, keep=st.booleans(), follow=st.sampled_from([None, *(-1.0, HOUR)]),
          event=st.booleans())  # fmt: skip
    def end(  # noqa: PLR0917 - hypothesis gives them by name
        self, place: int, state: Any, error: Any, keep: bool, follow: float | None, event: bool
    ) -> None:
        self.do(self.world.end(*self.hold(place), state=state, error=error, keep=keep, follow=follow, event=event))

    @precondition(lambda self: self.world.holding)
    @rule(place=places, seconds=spans, keep_lane=st.booleans())
    def wait(self, place: int, seconds: float, keep_lane: bool) -> None:
        self.do(self.world.wait(*self.hold(place), seconds=seconds, keep_lane=keep_lane))

    @precondition(lambda self: self.world.holding)
    @rule(place=places, unit=places)
    def call(self, place: int, unit: int) -> None:
        self.do(self.world.call(*self.hold(place), unit))

    @precondition(lambda self: self.world.holding)
    @rule(place=places, name=st.sampled_from("kl"))
    def once(self, place: int, name: str) -> None:
        self.do(self.world.once(*self.hold(place), name))

    @precondition(lambda self: self.world.holding)
    @rule(place=places, amounts=st.tuples(*[st.integers(0, 3)] * 3).filter(any))
    def spend(self, place: int, amounts: tuple[int, int, int]) -> None:
        self.do(self.world.spend(*self.hold(place), amounts))

    @precondition(lambda self: self.world.draws)
    @rule(who=places, place=places, part=st.sampled_from(["0", "0.5", "1"]))
    def settle(self, who: int, place: int, part: str) -> None:
        self.do(self.world.settle(self.one(who), place, Decimal(part)))

    @precondition(lambda self: self.world.zombies)
    @rule(place=places, what=st.sampled_from(["attempt", "transaction", "once", "spend", "wait", "end"]), state=ends)
    def zombie(self, place: int, what: str, state: Any) -> None:
        self.do(self.world.zombie(place % len(self.world.zombies), what, state))

    @rule(place=places)
    def cancel_a_run(self, place: int) -> None:
        runs = self.world.runs("scheduled", "running", "waiting", "completed")
        if runs:
            run = runs[place % len(runs)]
            self.do(_ignored(lambda: self.ledger.cancel(run=run)))

    @precondition(lambda self: self.world.plans)
    @rule(place=places)
    def cancel_a_plan(self, place: int) -> None:
        plan = self.a_plan(place)
        self.do(_ignored(lambda: self.ledger.cancel(plan=plan)))

    @precondition(lambda self: self.world.plans)
    @rule(place=places, paused=st.booleans())
    def pause_a_plan(self, place: int, paused: bool) -> None:
        self.do(self.world.pause(plan=self.a_plan(place), pipeline=None, paused=paused))

    @rule(pipeline=names, paused=st.booleans())
    def pause_a_pipeline(self, pipeline: str, paused: bool) -> None:
        self.do(self.world.pause(plan=None, pipeline=pipeline, paused=paused))

    @rule(place=places)
    def retry(self, place: int) -> None:
        runs = self.world.runs("failed", "partial", "cancelled", "completed")
        if runs:
            self.do(self.world.retry(runs[place % len(runs)]))

    @precondition(lambda self: len(self.world.processes) < 5)
    @rule(who=places)
    def crash(self, who: int) -> None:
        self.do(self.world.crash(self.one(who)))
        self.do(self.world.open())

    @rule(who=places)
    def leave(self, who: int) -> None:
        self.do(self.world.leave(self.one(who)))
        self.do(self.world.open())

    @rule(who=places)
    def housekeep(self, who: int) -> None:
        self.do(self.world.housekeep(self.one(who)))

    @rule(hours=st.sampled_from([0.2, 2.0, 200.0]))
    def later(self, hours: float) -> None:
        self.world.later(hours * HOUR)

    @rule()
    def deliver(self) -> None:
        self.do(self.world.deliver())

    @rule(keep_failed=st.booleans())
    def prune(self, keep_failed: bool) -> None:
        self.do(self.world.prune(keep_failed=keep_failed), pruned=True)


async def _ignored(ask: Callable[[], Coroutine[Any, Any, object]]) -> None:
    await ask()


@pytest.fixture
def machine(database_url: str) -> Iterator[type[Machine]]:
    """The rules on a ledger of the test's own, which each story finds empty."""
    watch = Watch(database_url)
    with asyncio.Runner() as runner:
        ledger = PostgresLedger(database_url)
        runner.run(ledger.open())
        yield type("OnThisLedger", (Machine,), {"runner": runner, "ledger": ledger, "watch": watch})
        runner.run(ledger.close())
    watch.close()


@pytest.mark.slow
@pytest.mark.timeout(max(300, STORIES * 10))
def test_whatever_happens_the_ledger_keeps_its_promises(machine: type[Machine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=STORIES,
            stateful_step_count=LENGTH,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
