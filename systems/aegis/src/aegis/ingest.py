"""Ingesting transcripts: from a folder or a zip into PostgreSQL, all of a source in one transaction.

The same source twice changes nothing, not even a time; one bad file costs none of the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from aegis.queries import queries, schema
from aegis.transcripts import Inspection, Rejection, Transcript, inspect, read_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import psycopg

    from aegis.institutions import Institution

_FILE = "ingest.sql"


@dataclass(frozen=True, kw_only=True)
class Availability:
    """What databases besides the transcripts hold of a bank's quarter (`quarter` is `Q1` to `Q4`)."""

    bank_symbol: str
    fiscal_year: int
    quarter: str
    database_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class IngestResult:
    """What an ingest did. `new`, `changed` and `unchanged` add up to the accepted transcripts."""

    new: int
    changed: int
    unchanged: int
    flagged: list[Transcript] = field(repr=False)
    rejected: list[Rejection] = field(repr=False)
    ignored: int

    @property
    def accepted(self) -> int:
        """Transcripts that are in the database now."""
        return self.new + self.changed + self.unchanged

    @property
    def reasons(self) -> dict[str, int]:
        """How many files were rejected for each reason, in the order of the reasons' names."""
        return dict(sorted(Counter(rejection.reason.value for rejection in self.rejected).items()))


async def create_tables(conn: psycopg.AsyncConnection[Any]) -> None:
    """Creates what is missing of aegis's tables, in the connection's transaction."""
    async with conn.transaction():
        await conn.execute(schema())


async def ingest(
    conn: psycopg.AsyncConnection[Any], source: Path, institutions: Mapping[str, Institution]
) -> IngestResult:
    """Reads and checks every file of `source` and files it: accepted ones with their availability, others rejected.

    One transaction (a savepoint within the caller's, where there is one). Raises `SourceError` where the source as a
    whole cannot be read; database errors pass through. Either way nothing of this ingest is kept.
    """
    sql = queries(_FILE)
    known = {symbol: institution.name for symbol, institution in institutions.items()}
    async with conn.transaction():
        await conn.execute(sql["lock_ingest"])
        held = {(str(row[0]), int(row[1]), str(row[2])): str(row[3]) for row in await _rows(conn, sql["held_periods"])}
        # Unpacking and checking is processor work of some seconds: not on the event loop.
        inspection = await asyncio.to_thread(lambda: inspect(read_source(source), known, held))
        await _stage(conn, inspection, institutions)
        merged = [bool(row[3]) for row in await _rows(conn, sql["merge_transcripts"])]
        await conn.execute(sql["merge_availability"])
        await conn.execute(sql["merge_rejected_files"])
        # The temporary tables go with the transaction; within a caller's, they must not meet a second ingest.
        await conn.execute("drop table staged_transcripts, staged_rejected_files")
    return IngestResult(
        new=merged.count(True),
        changed=merged.count(False),
        unchanged=len(inspection.accepted) - len(merged),
        flagged=[transcript for transcript in inspection.accepted if transcript.flags],
        rejected=inspection.rejected,
        ignored=inspection.ignored,
    )


async def add_availability(
    conn: psycopg.AsyncConnection[Any], rows: Iterable[Availability], institutions: Mapping[str, Institution]
) -> None:
    """Records other databases' holdings of bank-quarters; those already recorded stay. One transaction."""
    sql = queries(_FILE)["add_availability"]
    parameters = [
        {
            "bank_id": institutions[row.bank_symbol].id,
            "bank_name": institutions[row.bank_symbol].name,
            "bank_symbol": row.bank_symbol,
            "fiscal_year": row.fiscal_year,
            "quarter": row.quarter,
            "database_names": sorted(row.database_names),
        }
        for row in rows
    ]
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(sql, parameters)


async def _stage(
    conn: psycopg.AsyncConnection[Any], inspection: Inspection, institutions: Mapping[str, Institution]
) -> None:
    """Copies the inspection into temporary tables."""
    sql = queries(_FILE)
    await conn.execute(sql["stage_transcripts"])
    await conn.execute(sql["stage_rejected_files"])
    async with conn.cursor() as cursor:
        async with cursor.copy(sql["copy_transcripts"]) as copy:
            for transcript in inspection.accepted:
                bank = institutions[transcript.ticker]
                await copy.write_row(
                    (
                        bank.id,
                        bank.name,
                        bank.symbol,
                        transcript.fiscal_year,
                        transcript.quarter,
                        transcript.name,
                        transcript.sha256,
                        transcript.text,
                        transcript.words,
                        [flag.reason.value for flag in transcript.flags],
                        transcript.notice,
                        Jsonb([asdict(speech) for speech in transcript.speeches]) if transcript.speeches else None,
                    )
                )
        async with cursor.copy(sql["copy_rejected_files"]) as copy:
            for rejection in inspection.rejected:
                await copy.write_row((rejection.name, rejection.sha256, rejection.reason.value, rejection.detail))


async def _rows(conn: psycopg.AsyncConnection[Any], query: bytes) -> list[tuple[Any, ...]]:
    """A query's rows as tuples, whatever row factory the caller's connection has."""
    from psycopg.rows import tuple_row

    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


if __name__ == "__main__":
    from aegis.ingest_command import main

    raise SystemExit(main())
