"""What mypy --strict and pyright must infer. Type-checked, never run; a line with an ignore must be an error."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, assert_type

import polars as pl
from pydantic import BaseModel

import penstock as ps
from penstock import data
from penstock.testing import Database, Simulation, context, database


class Report(NamedTuple):
    bank_id: int
    quarter: str


@dataclass(frozen=True)
class AsDataclass:
    bank_id: int


class AsModel(BaseModel, frozen=True):
    bank_id: int


class Outline(BaseModel):
    topics: list[str]


class Llm: ...


reports = ps.Pipeline("reports", Report, lane="bank_id", order=("-quarter",), gaps=ps.SqlGaps("select"))
assert_type(reports, ps.Pipeline[Report])
usd = ps.Quota("usd", Decimal("0.40"), per="day", timezone="Europe/Berlin")
ps.Quota("usd", 1, per="week")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(ps.Pipeline("priced", Report, cost={usd: 0.4}), ps.Pipeline[Report])


async def spends(ctx: ps.Context[Report]) -> None:
    async with ctx.spend([usd], "prices") as draw:
        assert_type(draw.amount, Decimal)
        draw.settle(Decimal("0.1"))


assert_type(ps.Pipeline("d", AsDataclass), ps.Pipeline[AsDataclass])
assert_type(ps.Pipeline("m", AsModel), ps.Pipeline[AsModel])
daily = ps.Pipeline("daily", gaps=ps.DateGaps(since=date(2026, 1, 1)))  # no unit: one day at a time
assert_type(daily, ps.Pipeline[ps.Day])
ps.Pipeline("wrong", "bank_id")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
ps.Pipeline("wrong", Report, lanes="bank_id")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def listed() -> list[Report]:
    return [Report(1, "Q2")]


assert_type(ps.Pipeline("listed", Report, gaps=listed), ps.Pipeline[Report])


@reports.step
async def outline(ctx: ps.Context[Report]) -> Outline:
    assert_type(ctx.unit, Report)
    assert_type(ctx.unit.bank_id, int)
    ctx.unit.bank  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    return Outline(topics=[])


@reports.step
def measure(report: Report) -> int:
    return report.bank_id


# a step's output has the handler's return type, async or not
assert_type(outline.output, Outline)
assert_type(measure.output, int)
assert_type(measure.outputs, list[int])


async def section(outline: Outline, topic: str, *, words: int = 200) -> str:
    return f"{topic} {words} {outline}"


@reports.step(retry=ps.Retry(attempts=5), after=measure, timeout=timedelta(minutes=5))
async def write(
    ctx: ps.Context[Report], db: ps.Transaction, plan: Outline = outline.output, size: int = measure.output
) -> str:
    # once keeps the type of what it calls, and checks the arguments
    text = await ctx.once("guidance", section, plan, "guidance", words=100)
    assert_type(text, str)
    await ctx.once("x", section, plan, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(ctx.outcome(outline), ps.Outcome[Outline])
    assert_type(ctx.outcome(outline).output, Outline | None)
    ctx.fail(ctx.unit, ps.InvalidData("no"))
    ctx.fail("RY", ps.InvalidData("no"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    cursor = await db.execute("select 1 where %(size)s > 0", {"size": size})
    assert_type(await cursor.fetchone(), tuple[Any, ...] | None)
    return text


# an output of the wrong type does not pass
@reports.step
async def wrong(size: str = measure.output) -> None: ...  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]


# a step is still the function it was: a direct call is checked like any call
async def direct(ctx: ps.Context[Report]) -> None:
    assert_type(await outline(ctx), Outline)
    assert_type(await outline(context(Report(1, "Q2"), attempt=2)), Outline)
    assert_type(measure(Report(1, "Q2")), int)
    measure("Q2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await outline()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await outline(context(ps.Day(date(2026, 1, 1))))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# options that do not exist, or have a wrong value
@reports.step(on_failure="ignore")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportArgumentType]
async def bad_option() -> None: ...


# operations keep the unit
async def open_llm() -> AsyncIterator[Llm]:
    yield Llm()


app = ps.App("a", [reports], resources=[open_llm], errors={ValueError: "data"})
plan = app.plan(reports, where={"bank_id": 1})
assert_type(plan, ps.Plan[Report])
for gap in plan:
    assert_type(gap, ps.Gap[Report])
    assert_type(gap.unit.quarter, str)
summary = app.apply(plan, lanes=4)
assert_type(summary, ps.Summary[Report])
assert_type(summary.failed[0].unit, Report)
assert_type(app.run(daily), ps.Summary[ps.Day])
app.run(reports, units=[Report(1, "Q2")])
app.run(reports, units=[("RY", 1)])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


@app.on("execution.failed")
async def tell(event: ps.Event) -> None:
    assert_type(event, ps.Event)


@app.on("attempt.failed")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def tell_too_much(event: ps.Event) -> None: ...


async def over_client() -> None:
    async with app.client() as client:
        assert_type(client, ps.Client)
        assert_type(await client.run(reports), ps.Summary[Report])
        assert_type((await client.runs(daily))[0].unit.day.year, int)
        async for gap in client.gaps(await client.plan(reports)):
            assert_type(gap, ps.Gap[Report])
        assert_type(await client.why(reports, Report(1, "Q2")), ps.Why)
        await client.why(reports, "RY")  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


# loops make steps too
def transformer(source: str) -> ps.Step[int]:
    @reports.step(name=f"transform_{source}", after=outline, on_failure="continue")
    async def transform(report: Report) -> int:
        return len(source) + report.bank_id

    return transform


transforms = [transformer(s) for s in ("pff", "cfr")]


@reports.step(after=transforms)
async def validate(ctx: ps.Context[Report]) -> int:
    return sum(ctx.outcome(t).output or 0 for t in transforms)


@reports.step
def together(units: list[Report], sizes: list[int] = measure.outputs) -> int:
    return len(units) + sum(sizes)


# a simulation knows the pipeline's unit and its steps' outputs
sim = Simulation(reports, wanted=[Report(1, "Q2")], resources={Llm: Llm()})
assert_type(sim, Simulation[Report])
assert_type(Simulation(reports, wanted={Report(1, "Q2"): "v1"}), Simulation[Report])
assert_type(Simulation(daily, wanted=[ps.Day(date(2026, 1, 1))], resources=[Llm()]), Simulation[ps.Day])
Simulation(reports, wanted=[1])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
sim.stub(outline, Outline(topics=[]))
sim.stub(measure, lambda report: report.bank_id)
sim.stub(measure, "one")  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
sim.stub(measure, lambda report: report.quarter)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
sim.fail(write, ps.NetworkError("reset"), times=2)
assert_type(sim.plan(), ps.Plan[Report])
assert_type(sim.run(), ps.Summary[Report])
assert_type(sim.calls(write), list[Report])
assert_type(sim.runs[0].unit, Report)
assert_type(sim.waits, list[float])

with database(app) as db:
    assert_type(db, Database)
    db.execute("insert into banks values (%(bank_id)s)", bank_id=1)
    assert_type(db.url, str)


async def files() -> None:
    landed = await data.land(b"a;b", name="a.csv", origin="here")
    assert_type(landed, data.Landed)
    assert_type(await data.read(landed.path, schema={"a": pl.Int64}, line="line"), pl.DataFrame)
    async for frame in data.read_batches(landed.path, rows=10, bad=[]):
        assert_type(frame, pl.DataFrame)
    await data.read(landed.path, delimeter=";")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await data.read(landed.path, format="xml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await data.land("text", name="a", origin="here")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
