"""What the database holds, for commands that show it; and its tables, made where they are missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aegis.ingest import create_tables
from aegis.kinds import REPORT_TYPES
from aegis.queries import queries

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    import penstock as ps
    from aegis.pipelines import Report

_FILE = "reports.sql"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Bank-periods with transcripts, and reports that exist, of all banks."""

    periods: int
    reports: int


async def prepare(client: ps.Client) -> None:
    """Makes the tables that are missing; where none is, nothing is locked."""
    async with client.connection() as conn:
        if not await _value(conn, "tables_ready"):
            await create_tables(conn)


async def overview(client: ps.Client) -> Overview:
    """The counts of now."""
    async with client.connection() as conn:
        cursor = await conn.execute(queries(_FILE)["overview"], {"report_types": list(REPORT_TYPES.values())})
        periods, existing = await cursor.fetchone()
    return Overview(periods=int(periods), reports=int(existing))


async def paths_of(client: ps.Client, report: Report) -> tuple[Path, Path] | None:
    """The Word and the Markdown file of a report; None where there is none of ours."""
    from pathlib import Path

    async with client.connection() as conn:
        cursor = await conn.execute(queries(_FILE)["report_paths"], report._asdict())
        row = await cursor.fetchone()
    if row is None or row[0] is None or row[1] is None:
        return None
    return Path(row[0]), Path(row[1])


async def transcript_versions(client: ps.Client) -> set[str]:
    """The SHA-256 of every transcript."""
    async with client.connection() as conn:
        cursor = await conn.execute(queries(_FILE)["transcript_versions"])
        return {str(row[0]) for row in await cursor.fetchall()}


async def _value(conn: psycopg.AsyncConnection[Any], name: str) -> Any:
    cursor = await conn.execute(queries(_FILE)[name])
    row = await cursor.fetchone()
    return None if row is None else row[0]
