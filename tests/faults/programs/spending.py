"""The program whose calls cost money: five sections a unit, each kept with `ctx.once` and paid from two caps.

- `FAULTS_INVOICE`: the vendor's own book: each call appends time, pid, run, unit, section and what it cost, in cents.
- `FAULTS_LIMIT`: cents a month; `FAULTS_CAP`: cents a run.
- `FAULTS_SECONDS`: how long a call takes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import zlib
from typing import NamedTuple

import penstock as ps
from penstock.definition.context import running

SECONDS = float(os.environ.get("FAULTS_SECONDS", "0.01"))
INVOICE = os.open(os.environ["FAULTS_INVOICE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
SECTIONS, WORST = 5, 30

month = ps.Quota("cents", int(os.environ["FAULTS_LIMIT"]), per="month")
cap = ps.Quota("cents_a_run", int(os.environ["FAULTS_CAP"]), per="run")


class Row(NamedTuple):
    number: int
    lane: str


p = ps.Pipeline(
    "spending",
    Row,
    key=("number",),
    lane="lane",
    order=("number",),
    gaps=ps.SqlGaps("select * from public.wanted"),
    cost={month: 60},
)


async def section(run: str, unit: int, number: int) -> int:
    """One call to the vendor, who bills it whether we live to hear the answer or not."""
    context = running()
    assert context is not None
    async with context.spend([cap, month], WORST) as draw:
        cents = zlib.crc32(f"{unit}/{number}".encode()) % WORST + 1
        line = f"{time.time()!r} {os.getpid()} {run} {unit} {number} {cents}\n"
        os.write(INVOICE, line.encode())
        await asyncio.sleep(SECONDS)
        draw.settle(cents)
    return cents


@p.step
async def write(ctx: ps.Context[Row], row: Row) -> int:
    return sum([await ctx.once(str(n), section, str(ctx.run_id), row.number, n) for n in range(SECTIONS)])


app = ps.App("spending", [p])


def main() -> int:
    """Do what the budget admits."""
    summary = app.run(p)
    sys.stdout.write(f"{dict(summary.counts)} deferred {summary.deferred}\n")
    app.close()
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
