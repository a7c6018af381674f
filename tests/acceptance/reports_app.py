"""Six reports of three banks: bank 3 has no transcripts, bank 2 answers at the second try."""

import asyncio
import os
from typing import NamedTuple

from pydantic import BaseModel

import penstock as ps


class Report(NamedTuple):
    bank_id: int
    symbol: str
    quarter: str


class Options(BaseModel):
    style: str = "short"


reports = ps.Pipeline(
    "reports",
    Report,
    key=("bank_id", "quarter"),
    lane="symbol",
    order="-quarter",
    params=Options,
    retry=ps.Retry(first=0.01, jitter=False),
    gaps=ps.SqlGaps(
        "select i as bank_id, 'B' || i as symbol, q as quarter"
        " from generate_series(1, 3) i, (values ('Q1'), ('Q2')) v (q)",
        "select bank_id, quarter from made",
    ),
)
asked: set[Report] = set()


@reports.step
async def write(ctx: ps.Context[Report], options: Options) -> str:
    unit = ctx.unit
    print("printed by a step")  # noqa: T201 - what a user's step may do
    ctx.log.info("writing", style=options.style)
    for done in range(3):
        ctx.progress(done, 3)
        await asyncio.sleep(float(os.environ.get("TEST_SECONDS", "0")))
    if unit.bank_id == 2 and unit not in asked:
        asked.add(unit)
        raise ps.NetworkError("connection reset")
    if unit.bank_id == 3 and not os.environ.get("TEST_MENDED"):
        raise ps.InvalidData("no [transcript] data found")
    return f"{options.style} text"


@reports.step
async def record(report: Report, db: ps.Transaction, text: str = write.output) -> int:
    words = len(text.split())
    await db.execute("insert into made values (%s, %s, %s)", (report.bank_id, report.quarter, words))
    return words


app = ps.App("reports", [reports])
