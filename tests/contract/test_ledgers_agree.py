"""The ledger in memory and the one on PostgreSQL answer alike, whatever is asked of them in whatever order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import pytest
import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.ledger.worker import PostgresWorker
from penstock.model.attempt import Instant, PlanId, RunEnd
from penstock.model.errors import LeaseLost
from penstock.model.shape import Shape
from penstock.model.states import LIVE
from penstock.ports.ledger import Ledger, Worker
from penstock.ports.records import Claimed, EndRecord, FollowUp, UnitEnd, WaitRecord
from penstock.testing.contracts.ledger_case import APP, BATCHES, STEPS, key, listed, names, query, tried
from penstock.testing.memory import MemoryLedger
from penstock.testing.memory_worker import MemoryWorker

T = TypeVar("T")

UNITS = "abcdefgh"
PIPELINES = ("one", "two")
STEPS_TAKEN = 60
SEEDS = 12
COMPARED = ("verdict", "source_version", "failures", "repeats", "completed_version", "rev")
ENDS: tuple[RunEnd, ...] = ("completed", "completed", "failed", "partial", "cancelled")


class Side:
    """One of the two ledgers, its workers, what they hold, and what they held once."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.workers: list[Worker] = []
        self.held: list[dict[str, Claimed]] = []
        self.old: list[tuple[int, Claimed]] = []
        self.plans: list[PlanId] = []

    async def start(self) -> None:
        for _ in range(2):
            await self.open()

    async def open(self) -> None:
        self.workers.append(await self.ledger.open_worker(APP, "worker"))
        self.held.append({})

    async def plan(self, asked: dict[str, Any]) -> Any:
        plan = await self.ledger.plan(query(**asked))
        self.plans.append(plan.id)
        gaps = await self.ledger.gaps(plan.id, 0, 99)
        told = (plan.counts, plan.in_flight, plan.runs, plan.lanes, plan.longest_lane)
        return told, [(v, n) for v, n, _ in plan.remembered], [(g.key, g.reason, g.lane, g.priority) for g in gaps]

    async def apply(self, place: int) -> Any:
        applied = await self.ledger.apply(self.plans[place], triggered_by="test")
        return applied.runs, applied.dropped

    async def claim(self, who: int) -> Any:
        claimed = await self.workers[who].claim(100, PIPELINES)
        return sorted(self.take(who, run) for run in claimed)

    def take(self, who: int, run: Claimed) -> str:
        name = f"{run.pipeline}:{','.join(names(run))}"
        self.held[who][name] = run
        return f"{name} {run.claims} {run.losses} {run.tries} {run.cancel} {[u.source_version for u in run.units]}"

    def drop(self, who: int, name: str) -> Claimed:
        run = self.held[who].pop(name)
        self.old.append((who, run))
        return run

    async def attempt(self, who: int, name: str, step: str, state: str, *, fresh: bool) -> Any:
        run = self.held[who][name]
        seq = len((await self.workers[who].history(run.hold.run)).attempts) + 1
        more: dict[str, Any] = {"state": state, "fresh": fresh} if state != "open" else {"state": state}
        if state == "open":
            await self.workers[who].opened_now(tried(run, seq, step, **more))
        else:
            await self.workers[who].attempt(tried(run, seq, step, **more))
        return await self.history(who, run)

    async def history(self, who: int, run: Claimed) -> Any:
        history = await self.workers[who].history(run.hold.run)
        return [(a.step, a.state, a.attempt) for a in history.attempts], [(s, n, o.kind) for s, n, o in history.tries]

    async def end(self, who: int, name: str, state: RunEnd, *, first: float, follow: bool, keep: bool) -> Any:
        run = self.drop(who, name)
        verdict: Any = state
        counts = state != "cancelled"
        units = tuple(UnitEnd(no=u.no, verdict=verdict, counts=counts, first=first, limit=9e9) for u in run.units)
        again = FollowUp(units=(run.units[-1].no,), until=Instant(self.workers[who].now() - 1), tries=run.tries + 1)
        record = EndRecord(hold=run.hold, state=state, units=units, keep=keep, follow=again if follow else None)
        kept = await self.workers[who].end(record)
        return None if kept is None else self.take(who, kept)

    async def wait(self, who: int, name: str, seconds: float, *, keep: bool) -> None:
        run = self.drop(who, name)
        until = Instant(self.workers[who].now() + seconds)
        await self.workers[who].wait(WaitRecord(hold=run.hold, until=until, reason="backoff", keep_lane=keep))

    async def late(self, place: int) -> Any:
        who, run = self.old[place]
        await self.workers[who].attempt(tried(run, 50))

    async def live(self) -> list[str]:
        runs = await self.ledger.runs(app=APP, states=sorted(LIVE), limit=999)
        return sorted(f"{run.pipeline}:{','.join(u['name'] for u in run.units)}" for run in runs)

    async def cancel(self, name: str) -> Any:
        runs = await self.ledger.runs(app=APP, states=sorted(LIVE), limit=999)
        (run,) = [r.id for r in runs if f"{r.pipeline}:{','.join(u['name'] for u in r.units)}" == name]
        states = await self.ledger.cancel(run=run)
        flagged = await self.workers[-1].cancelled([run])
        return list(states.values()), len(flagged)

    async def cancel_plan(self, place: int) -> Any:
        return sorted((await self.ledger.cancel(plan=self.plans[place])).values())

    async def pause(self, place: int | None, pipeline: str | None, *, paused: bool) -> None:
        if place is not None:
            await self.ledger.pause(plan=self.plans[place], paused=paused)
        elif pipeline is not None:
            await self.ledger.pause(pipeline=(APP, pipeline), paused=paused)

    async def kill(self, who: int) -> None:
        worker = self.workers[who]
        if isinstance(worker, PostgresWorker):
            async with worker.ledger.connection() as connection:
                await connection.execute(
                    "update penstock.processes set pid = %s where process_id = %s", [2**31 - 1, worker.process]
                )
        else:
            assert isinstance(worker, MemoryWorker)
            worker.kill()
        self.old += [(who, run) for run in self.held[who].values()]
        self.held[who] = {}
        await self.open()
        await self.workers[-1].housekeep(PIPELINES)

    async def seen(self) -> Any:
        """All that can be compared."""
        units = [
            (pipeline, row["unit"]["name"], *(row[name] for name in COMPARED), row["not_before"] is None)
            for pipeline in PIPELINES
            for row in sorted(await self.ledger.units(app=APP, pipeline=pipeline), key=lambda row: row["unit"]["name"])
        ]
        tallies = [dict(await self.ledger.tally(plan)) for plan in self.plans]
        left = await self.workers[-1].outstanding(PIPELINES)
        return units, tallies, (left.open, left.elsewhere, left.deferred), await self.live()


Ask: TypeAlias = Callable[[Side], Awaitable[Any]]
Both: TypeAlias = Callable[[str, Ask], Awaitable[None]]


@pytest_asyncio.fixture
async def sides(database_url: str) -> AsyncIterator[tuple[Side, Side]]:
    postgres = PostgresLedger(database_url)
    await postgres.open()
    both = Side(MemoryLedger()), Side(postgres)
    for side in both:
        await side.start()
    yield both
    for side in both:
        for worker in side.workers:
            await worker.close()
    await postgres.close()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_is_done_both_answer_alike(sides: tuple[Side, Side], seed: int) -> None:
    chance = random.Random(seed)
    told: list[str] = []

    async def both(what: str, ask: Ask) -> None:
        told.append(what)
        answers = [await _answer(ask(side)) for side in sides]
        seen = [await side.seen() for side in sides]
        assert answers[0] == answers[1], told
        assert seen[0] == seen[1], told

    first, second = (_asked(chance, pipeline) for pipeline in PIPELINES)
    await both(f"plan {first}", lambda s: s.plan(first))
    await both(f"plan {second}", lambda s: s.plan(second))
    for _ in range(STEPS_TAKEN):
        await _step(chance, sides[0], both)


async def _answer(asked: Awaitable[T]) -> T | str:
    try:
        return await asked
    except LeaseLost:
        return "lease lost"


def _asked(chance: random.Random, pipeline: str) -> dict[str, Any]:
    chosen = chance.sample(UNITS, chance.randint(1, len(UNITS)))
    laned = chance.random() < 0.7
    version = chance.choice([None, "1", "2"])
    wanted = [
        listed(name, lane=str(ord(name) % 3) if laned else None, priority=chance.choice([0, 0, 2]), version=version)
        for name in chosen
    ]
    shape = chance.choice([STEPS, STEPS, BATCHES, Shape(steps=STEPS.steps, version=2)])
    asked = {"pipeline": pipeline, "wanted": wanted, "lane": "lane" if laned else None, "shape": shape}
    return {**asked, "forced": chance.random() < 0.4}


async def _step(chance: random.Random, side: Side, both: Both) -> None:
    """Something that can be done now, done on both."""
    holding = [(who, name) for who, held in enumerate(side.held) for name in sorted(held)]
    kind = chance.choice(["plan", "apply", "apply", "claim", "claim", "attempt", "end", "end", "end", "wait", "other"])
    asked = _asked(chance, chance.choice(PIPELINES))
    place, alive = chance.randrange(len(side.plans)), len(side.workers) - 1
    if kind == "plan":
        await both(f"plan {asked}", lambda s: s.plan(asked))
    elif kind == "apply":
        await both(f"apply {place}", lambda s: s.apply(place))
    elif kind == "claim":
        await both("claim", lambda s: s.claim(alive))
    elif kind == "other" or not holding:
        await _order(chance, side, both, place)
    else:
        who, name = chance.choice(holding)
        flag, state = chance.random() < 0.5, chance.choice(ENDS)
        if kind == "attempt":
            step, ended = chance.choice(["read", "write"]), chance.choice(["done", "failed", "open"])
            await both(f"attempt {name} {ended}", lambda s: s.attempt(who, name, step, ended, fresh=flag))
        elif kind == "end":
            first, follow = chance.choice([0.0, 1000.0]), state == "partial" and chance.random() < 0.5
            what = f"end {name} {state} first={first} follow={follow} keep={flag}"
            await both(what, lambda s: s.end(who, name, state, first=first, follow=follow, keep=flag))
        else:
            seconds = chance.choice([-1.0, 1000.0])
            await both(f"wait {name} {seconds} keep={flag}", lambda s: s.wait(who, name, seconds, keep=flag))


async def _order(chance: random.Random, side: Side, both: Both, place: int) -> None:
    """What people do, and what happens."""
    live: Sequence[str] = await side.live()
    unit, pipeline = chance.choice(UNITS), chance.choice(PIPELINES)
    paused, alive = chance.random() < 0.4, len(side.workers) - 1
    match chance.choice(
        ["cancel", "cancel plan", "pause", "pause", "forget", "kill", "late", "housekeep", "housekeep"]
    ):
        case "cancel" if live:
            name = chance.choice(live)
            await both(f"cancel {name}", lambda s: s.cancel(name))
        case "cancel plan" if chance.random() < 0.3:
            await both(f"cancel plan {place}", lambda s: s.cancel_plan(place))
        case "pause":
            whole = chance.random() < 0.5
            where = (None, pipeline) if whole else (place, None)
            await both(f"pause {where} {paused}", lambda s: s.pause(*where, paused=paused))
        case "forget":
            await both(f"forget {unit}", lambda s: s.ledger.forget(APP, pipeline, [key(unit)]))
        case "kill":
            await both("kill", lambda s: s.kill(alive))
        case "late" if side.old:
            which = chance.randrange(len(side.old))
            await both(f"late {which}", lambda s: s.late(which))
        case _:
            await both("housekeep", _tidy)


async def _tidy(side: Side) -> bool:
    """Whether anything is due later."""
    return await side.workers[-1].housekeep(PIPELINES) is None
