"""Bronze: a report as it was received, row by row, with its line, its hash and where it came from."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import polars as pl

import penstock as ps
from medallion.dsp import table
from medallion.feeds import feed_by_id
from medallion.queries import queries
from medallion.records import as_records
from penstock import data

_FILE = "layers.sql"
LINE = "~line"


class Landing(NamedTuple):
    """A report that was received."""

    id: int
    feed_id: UUID
    day: date
    part: str
    name: str
    origin: str
    path: Path
    sha256: str
    bytes: int
    columns: tuple[str, ...]


async def hold(db: ps.Transaction, landing_id: int) -> Landing:
    """A landing, for this transaction alone.

    Raises:
        InvalidData: It was taken away.
    """
    cursor = await db.execute(queries(_FILE)["hold_landing"], {"id": landing_id})
    row = await cursor.fetchone()
    if row is None:
        raise ps.InvalidData(f"Landing {landing_id} was taken away since this was planned.")
    feed_id, day, part, name, origin, path, sha256, size, columns = row
    return Landing(
        landing_id, feed_id, day, part, name, origin, Path(path), sha256, size, tuple(columns) if columns else ()
    )


async def load_bronze(ctx: ps.Context[Any], db: ps.Transaction, landing_id: int) -> int:
    """Put a landing's rows into `bronze.rows`, unless they are there; returns how many there are.

    Raises:
        InvalidData: The file is gone or another, or it cannot be read; the message names it.
    """
    landing = await hold(db, landing_id)
    cursor = await db.execute(queries(_FILE)["bronze_count"], {"id": landing_id})
    row = await cursor.fetchone()
    if row is not None and landing.columns:  # received once, loaded once: what is there is never changed
        ctx.log.info("%s is in bronze already", landing.name, rows=row[0])
        ctx.count(read=row[0])
        return int(row[0])
    ctx.log.info("Started data ingestion from %s", landing.origin, file=landing.name)
    await asyncio.to_thread(_check, landing)
    bad: list[data.BadRow] = []
    frame = await data.read(await _readable(ctx, db, landing), schema="text", line=LINE, bad=bad)
    columns = [name for name in frame.columns if name != LINE]
    rows = pl.DataFrame(
        {"line": frame[LINE].cast(pl.Int32), "record": as_records(frame.select(columns))},
    ).with_columns(landing_id=pl.lit(landing_id), fault=pl.lit(None, pl.String))
    if bad:
        rows = pl.concat([rows, _broken(bad, landing_id).select(rows.columns)]).sort("line")
    await db.execute(queries(_FILE)["set_columns"], {"id": landing_id, "columns": columns})
    await data.load(db, rows, "bronze.rows", mode="append")
    ctx.log.info("Fetched %d records", rows.height, file=landing.name, bytes=landing.bytes)
    return rows.height


async def _readable(ctx: ps.Context[Any], db: ps.Transaction, landing: Landing) -> Path:
    """The file itself; of a DSP's report its table alone, without the totals and notes below it."""
    feed = await feed_by_id(await db.connection(), landing.feed_id)
    if feed.source != "dsp":
        return landing.path
    trimmed = ctx.workdir / f"{landing.id}.csv"
    await asyncio.to_thread(_trim, landing.path, trimmed)
    return trimmed


def _trim(report: Path, into: Path) -> None:
    with report.open(encoding="utf-8", newline="") as lines, into.open("w", encoding="utf-8", newline="") as out:
        out.writelines(table(lines))


def _broken(bad: Sequence[data.BadRow], landing_id: int) -> pl.DataFrame:
    """Lines that are no records, with the reason: nothing that was received is lost."""
    return pl.DataFrame(
        {
            "line": pl.Series([row.line for row in bad], dtype=pl.Int32),
            "record": [_record(row.values) for row in bad],
            "fault": [row.reason for row in bad],
        }
    ).with_columns(landing_id=pl.lit(landing_id))


def _record(values: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(["" if value is None else value for value in values])
    return out.getvalue()


def _check(landing: Landing) -> None:
    """The file is the one that was received.

    Raises:
        InvalidData: It is not.
    """
    try:
        with landing.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ps.InvalidData(
            f"{landing.path}, received from {landing.origin}, cannot be read: {error.strerror}. Fetch the day again: "
            f"penstock run DataIngestionWorkflow --force."
        ) from None
    if found != landing.sha256:
        raise ps.InvalidData(
            f"{landing.path} is not what was received from {landing.origin}: its SHA-256 is {found}, and was "
            f"{landing.sha256}. Fetch the day again: penstock run DataIngestionWorkflow --force."
        )
