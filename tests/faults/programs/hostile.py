"""A program some of whose handlers misbehave: `python hostile.py` plans and runs.

- `FAULTS_ENTRIES`: the file that each handler appends a line to on entry, as in `loading.py`.
- `FAULTS_DOES`: what the handlers of units 0, 1, … do, by name, separated by commas; see `misbehave`.
- `FAULTS_KIND`: in which kind of step it does so: `async`, `thread` or `cpu`.
- `FAULTS_TIMES`: how often it does so before it behaves; counted over all processes.
- `FAULTS_STUBBORN`: seconds until an interrupted handler counts as one that will not go.
- `FAULTS_TIMEOUT`: seconds that its step may take.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import penstock as ps

ENTRIES = os.environ["FAULTS_ENTRIES"]
DOES = dict(enumerate(os.environ.get("FAULTS_DOES", "").split(",")))
KIND = os.environ.get("FAULTS_KIND", "async")
TIMES = int(os.environ.get("FAULTS_TIMES", "1"))
MEMORY = 64 << 20
TIMEOUT = float(os.environ.get("FAULTS_TIMEOUT", "0")) or None
SECONDS = 0.01
CHILDREN = Path(ENTRIES).parent / "children"
BEHAVE = Path(ENTRIES).parent / "behave"


class Row(NamedTuple):
    number: int
    lane: str


p = ps.Pipeline(
    "hostile",
    Row,
    key=("number",),
    lane="lane",
    order=("number",),
    gaps=ps.SqlGaps("select * from public.wanted"),
    retry=ps.Retry(attempts=4, first=0.05, limit=0.1),
)


def entered(run: object, number: int, step: str, attempt: int) -> int:
    """Say so, and tell how often this step of this unit was entered before."""
    with open(ENTRIES, "a", encoding="utf-8", buffering=1) as file:  # noqa: PTH123 - it is to be one write
        file.write(f"{time.time()!r} {os.getpid()} {number} {run} {step} {attempt}\n")
    lines = (line.split() for line in Path(ENTRIES).read_text(encoding="utf-8").splitlines())
    return sum(words[2] == str(number) and words[4] == step for words in lines) - 1


def misbehave(does: str) -> None:
    """What a culprit does, whatever its kind."""
    match does:
        case "sys.exit":
            sys.exit(7)
        case "os._exit":
            os._exit(7)
        case "SystemExit" | "KeyboardInterrupt" | "GeneratorExit" | "BaseException" | "StopIteration":
            raise {
                "SystemExit": SystemExit,
                "KeyboardInterrupt": KeyboardInterrupt,
                "GeneratorExit": GeneratorExit,
                "BaseException": BaseException,
                "StopIteration": StopIteration,
            }[does]("from a handler")
        case "memory at once":
            len(bytearray(1 << 40))
        case "memory bit by bit":
            limit_memory()
            hoard = [bytearray(1 << 20)]
            while True:
                hoard.append(bytearray(1 << 20))
        case "segfault":
            ctypes.string_at(0)
        case "SIGKILL":
            os.kill(os.getpid(), 9)
        case "fork and return" | "fork and raise" | "fork and live on":
            fork(does)
        case "never yield":
            while not BEHAVE.exists():
                pass
        case _:
            return


def fork(does: str) -> None:
    child = os.fork()
    if child:
        with CHILDREN.open("a") as file:
            file.write(f"{child}\n")
    elif does == "fork and raise":
        raise RuntimeError("from the child")
    elif does == "fork and live on":
        time.sleep(600)
        os._exit(0)


def limit_memory() -> None:
    """This process gets a little more than it has, so that the machine need not be filled to show what happens."""
    has = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, has + MEMORY))


async def ignore_cancel() -> None:
    while not BEHAVE.exists():
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            continue


def ignore_interrupt() -> None:
    while not BEHAVE.exists():
        try:
            time.sleep(0.05)
        except BaseException:  # noqa: BLE001 - it is what this handler does wrong
            continue


async def act_async(ctx: ps.Context[Row], row: Row) -> int:
    before = entered(ctx.run_id, row.number, "act", ctx.attempt)
    if before < TIMES and (does := DOES.get(row.number)):
        if does == "ignore cancel":
            await ignore_cancel()
        misbehave(does)
    await asyncio.sleep(SECONDS)
    return row.number


def act_thread(ctx: ps.Context[Row], row: Row) -> int:
    before = entered(ctx.run_id, row.number, "act", ctx.attempt)
    if before < TIMES and (does := DOES.get(row.number)):
        if does == "ignore cancel":
            ignore_interrupt()
        misbehave(does)
    time.sleep(SECONDS)
    return row.number


def act_cpu(row: Row) -> int:
    before = entered("-", row.number, "act", 0)
    if before < TIMES and (does := DOES.get(row.number)):
        if does == "ignore cancel":
            ignore_interrupt()
        misbehave(does)
    return row.number


act: ps.Step[int]
match KIND:
    case "async":
        act = p.step(name="act", timeout=TIMEOUT)(act_async)
    case "thread":
        act = p.step(name="act", timeout=TIMEOUT)(act_thread)
    case _:
        act = p.step(name="act", timeout=TIMEOUT, cpu=True)(act_cpu)


@p.step
async def load(ctx: ps.Context[Row], row: Row, db: ps.Transaction, number: int = act.output) -> None:
    entered(ctx.run_id, row.number, "load", ctx.attempt)
    await db.execute(
        "insert into public.loaded (number, value, run, attempt, pid) values (%s, %s, %s, %s, %s)",
        (row.number, number, ctx.run_id, ctx.attempt, os.getpid()),
    )


app = ps.App("hostile", [p])


def main() -> int:
    """0 when none of the runs failed; an error of Penstock's is one line."""
    if stubborn := float(os.environ.get("FAULTS_STUBBORN", "0")):
        from penstock.engines.executor import calling

        calling.STUBBORN = stubborn  # type: ignore[misc] # a test has no 30 seconds
    try:
        summary = app.run(p)
    except ps.PenstockError as error:
        sys.stdout.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{dict(summary.counts)}\n")
    app.close()
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
