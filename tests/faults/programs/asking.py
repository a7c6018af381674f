"""The program that asks a language model: four sections a unit, each kept with `ctx.once`, under two caps in dollars.

- `FAULTS_URL`: the model's endpoint.
- `FAULTS_LIMIT`: dollars a month; `FAULTS_STREAM`: 1 for streamed answers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, NamedTuple

import penstock as ps
from penstock import data

SECTIONS = 4
month = ps.Quota("usd", Decimal(os.environ["FAULTS_LIMIT"]), per="month")
cap = ps.Quota("usd_a_run", 10, per="run")
quick: dict[Any, ps.Retry] = dict.fromkeys(
    ("network", "timeout", "rate_limit"), ps.Retry(attempts=12, first=0.01, limit=0.05)
)


class Row(NamedTuple):
    number: int
    lane: str


async def open_model() -> AsyncIterator[data.Llm]:
    """The model, dear enough that the caps matter."""
    async with data.Llm(
        "m",
        api_key="k",
        base_url=os.environ["FAULTS_URL"],
        caps=[cap, month],
        prices={"m": {"input": 100, "cached": 25, "output": 1000}},
        max_tokens=200,
        timeout=20,
        stream=os.environ.get("FAULTS_STREAM") == "1",
    ) as model:
        yield model


p = ps.Pipeline(
    "asking",
    Row,
    key=("number",),
    lane="lane",
    order=("number",),
    gaps=ps.SqlGaps("select * from public.wanted"),
    cost={month: Decimal("0.1")},
    retry=quick,
)


async def section(model: data.Llm, unit: int, number: int) -> str:
    """One call to the vendor, who bills it whether we live to hear the answer or not."""
    return await model.ask(f"unit {unit}, section {number}")


@p.step
async def write(ctx: ps.Context[Row], row: Row, model: data.Llm) -> list[str]:
    return [await ctx.once(str(n), section, model, row.number, n) for n in range(SECTIONS)]


app = ps.App("asking", [p], resources=[open_model])


def main() -> int:
    """Do what the budget admits."""
    summary = app.run(p)
    sys.stdout.write(f"{dict(summary.counts)} deferred {summary.deferred}\n")
    for failure in summary.failed:
        sys.stdout.write(f"{failure.unit}: {failure.error}\n")
    app.close()
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
