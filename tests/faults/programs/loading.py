"""The program under attack: three steps a unit, each of which says that it was entered before it does anything.

`python loading.py` finds the gaps and fills them, as cron would start it. What it does is set by the environment:

- `FAULTS_ENTRIES`: the file that each handler appends a line to on entry: time, pid, unit, run, step, attempt.
- `FAULTS_DO`: `run` plans and applies; `plan` prints a plan's number; a number is a plan to apply.
- `FAULTS_GATE`: files to wait for, separated by colons; each opens one more round of what is done.
- `FAULTS_BATCH`: how many units a run has.
- `FAULTS_SECONDS`: how long the async and the threaded step take.
- `FAULTS_OPEN`: how long a load leaves its transaction open with the row in it.
- `FAULTS_BIG`: the bytes that each load writes besides, into a table of its own.
- `FAULTS_COPY`: the rows that each load copies besides, into a table of its own.
- `FAULTS_LISTED`: how many units are listed by the program instead of found by SQL.
- `FAULTS_KILLER`: the unit whose threaded step ends its process.
- `FAULTS_STUCK`: the unit whose threaded step computes without end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import penstock as ps

SECONDS = float(os.environ.get("FAULTS_SECONDS", "0.01"))
OPEN = float(os.environ.get("FAULTS_OPEN", "0"))
BIG = int(os.environ.get("FAULTS_BIG", "0"))
COPY = int(os.environ.get("FAULTS_COPY", "0"))
LISTED = int(os.environ.get("FAULTS_LISTED", "0"))
KILLER = int(os.environ.get("FAULTS_KILLER", "-1"))
STUCK = int(os.environ.get("FAULTS_STUCK", "-1"))
ENTRIES = os.open(os.environ["FAULTS_ENTRIES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Row(NamedTuple):
    number: int
    lane: str


def listed() -> list[Row]:
    """Units that go into a plan by COPY."""
    return [Row(number, f"lane {number % 4}") for number in range(LISTED)]


p = ps.Pipeline(
    "loading",
    Row,
    key=("number",),
    lane="lane",
    order=("number",),
    batch=int(os.environ.get("FAULTS_BATCH", "1")),
    gaps=listed if LISTED else ps.SqlGaps("select * from public.wanted"),
)


def entered(ctx: ps.Context[Row], row: Row, step: str) -> None:
    """One write to a file opened for appending: whole, whoever else writes, and there after a kill."""
    line = f"{time.time()!r} {os.getpid()} {row.number} {ctx.run_id} {step} {ctx.attempt}\n"
    os.write(ENTRIES, line.encode())


@p.step
async def fetch(ctx: ps.Context[Row], row: Row) -> int:
    entered(ctx, row, "fetch")
    await asyncio.sleep(SECONDS)
    return row.number * 2


@p.step
def compute(ctx: ps.Context[Row], row: Row, fetched: int = fetch.output) -> int:
    entered(ctx, row, "compute")
    if row.number == KILLER:
        os._exit(9)
    while row.number == STUCK:
        time.sleep(0.05)
    if SECONDS:  # libfaketime cannot sleep to a time that has jumped
        time.sleep(SECONDS)
    return fetched + 1


@p.step
async def load(ctx: ps.Context[Row], row: Row, db: ps.Transaction, computed: int = compute.output) -> None:
    entered(ctx, row, "load")
    await db.execute(
        "insert into public.loaded (number, value, run, attempt, pid) values (%s, %s, %s, %s, %s)",
        (row.number, computed, ctx.run_id, ctx.attempt, os.getpid()),
    )
    if BIG:
        await db.execute("insert into public.big (number, body) values (%s, %s)", (row.number, os.urandom(BIG)))
    if COPY:
        connection = await db.connection()
        async with connection.cursor().copy("copy public.copied (number, line) from stdin") as copy:
            for line in range(COPY):
                await copy.write_row((row.number, line))
    if OPEN:
        await asyncio.sleep(OPEN)


app = ps.App("faults", [p])


def main() -> int:
    """An error of Penstock's is one line, as the command tells it."""
    try:
        return work()
    except ps.PenstockError as error:
        sys.stdout.write(f"error: {error}\n")
        return 1


def work() -> int:
    """Do it once for each gate; 0 when none of the runs failed."""
    what, failed = os.environ.get("FAULTS_DO", "run"), 0
    for gate in filter(None, os.environ.get("FAULTS_GATE", "").split(":") or [""]):
        app.plan(p, units=[])  # connected and warm
        sys.stdout.write("at the gate\n")
        sys.stdout.flush()
        while not Path(gate).exists():
            time.sleep(0.001)
        failed += len(app.run(p).failed)
    if what == "plan":
        sys.stdout.write(f"{app.plan(p).number}\n")
    elif not os.environ.get("FAULTS_GATE"):
        summary = app.run(p) if what == "run" else app.apply(int(what))
        sys.stdout.write(f"{dict(summary.counts)} {dict(summary.dropped)}\n")
        failed = len(summary.failed)
    app.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
