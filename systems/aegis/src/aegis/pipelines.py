"""Reports that should exist for every transcript there is, and how one is made."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg import AsyncConnection

import penstock as ps
from aegis.institutions import load_institutions
from aegis.money import ESTIMATE, usd_a_day
from aegis.overview import prepare
from aegis.queries import queries
from aegis.reports import CallTranscript, Draft, Section, typeset
from aegis.settings import Settings
from aegis.transcripts import speeches_of
from aegis.writers import Writer, open_llm, open_writer

RETRIED: tuple[ps.ErrorClass, ...] = ("network", "timeout", "rate_limit", "unknown")
"""Failures that another attempt may cure; all others are final."""
ATTEMPTS = 3
"""Attempts in all, where the orchestrator's constants do not say otherwise."""


class Report(NamedTuple):
    """A report that should exist. `llm_usd` is what a language model is taken to cost for it, 0 where there is none."""

    bank_id: int
    bank_symbol: str
    bank_name: str
    fiscal_year: int
    quarter: str
    report_type: str
    llm_usd: Decimal = Decimal(0)


async def monitored(settings: Settings, client: ps.Client) -> Mapping[str, object]:
    """Whose reports are wanted. The tables are made where they are not there yet: a new database has no gaps."""
    await prepare(client)
    by_model = settings.writer == "llm"
    if by_model:
        open_llm(settings)  # settings that no report could be written with are told before anything is planned
    return {"symbols": list(load_institutions(settings.institutions)), "llm_usd": ESTIMATE if by_model else Decimal(0)}


def retries(attempts: int, first: float, limit: float) -> dict[ps.ErrorClass, ps.Retry]:
    """So many attempts in all, the waits between them doubled from the first (in seconds) up to the limit."""
    return dict.fromkeys(RETRIED, ps.Retry(attempts=attempts, first=first, limit=limit, jitter=False))


reports = ps.Pipeline(
    "aegis_reports",
    Report,
    gaps=ps.SqlGaps("sql/wanted.sql", "sql/existing.sql", binds=monitored),
    key=("bank_id", "fiscal_year", "quarter", "report_type"),
    lane="bank_symbol",
    order=("-fiscal_year", "-quarter", "bank_id", "report_type"),
    retry=retries(attempts=ATTEMPTS, first=5, limit=300),
    cost={usd_a_day: "llm_usd"},
    remember=0,
)


@reports.step
async def write(ctx: ps.Context[Report], writer: Writer, settings: Settings) -> Draft:
    """The report's files. An attempt that died in the fifth section goes on at the fifth."""
    async with ctx.connection() as conn:
        transcript, version = await read_transcript(conn, ctx.unit)
    report_type = ctx.unit.report_type
    topics = writer.topics(report_type)
    sections: list[Section] = []
    for topic in topics:
        # Quotes are offsets into this very text: a section of another version must never be taken over.
        key = f"{version}/{writer.name}/{topic}"
        sections.append(await ctx.once(key, write_section, writer, transcript, topic))
        ctx.progress(len(sections), len(topics))
    folder = settings.reports_dir.resolve()
    cost = sum((section.cost_usd for section in sections), Decimal(0))
    draft = await asyncio.to_thread(
        typeset, sections, transcript, report_type, folder, writer=writer.name, cost_usd=cost, embed=writer.embed
    )
    return draft.model_copy(update={"source_version": version})


@reports.step
async def record(report: Report, db: ps.Transaction, draft: Draft = write.output) -> str:
    """The report's row, in one transaction with the completion of the run; gives the path of the Word file."""
    await db.execute(
        queries("reports.sql")["record_report"].decode(),
        {
            **report._asdict(),
            "docx_path": str(draft.docx),
            "markdown_path": str(draft.markdown),
            "source_version": draft.source_version,
            "writer": draft.writer,
            "cost_usd": draft.cost_usd,
            "notice": draft.notice,
            "quality": draft.quality.model_dump_json() if draft.quality else None,
        },
    )
    return str(draft.docx)


async def write_section(writer: Writer, transcript: CallTranscript, topic: str) -> Section:
    """One section: what is kept between attempts."""
    return await writer.section(transcript, topic)


async def read_transcript(conn: AsyncConnection[Any], report: Report) -> tuple[CallTranscript, str]:
    """A report's transcript with the previous call's, and the version of both; `NoData` where there is none."""
    cursor = await conn.execute(queries("reports.sql")["read_transcripts"], report._asdict())
    row = await cursor.fetchone()
    if row is None:
        raise ps.NoData("No transcript data found")
    text, sha256, notice, version, speeches, *earlier = row

    transcript = CallTranscript(
        text=text,
        sha256=sha256,
        bank_name=report.bank_name,
        bank_symbol=report.bank_symbol,
        fiscal_year=report.fiscal_year,
        quarter=report.quarter,
        notice=notice,
        speeches=speeches_of(speeches),
    )
    if earlier[0] is None:
        return transcript, str(version)
    year, quarter, text, sha256, notice, speeches = earlier
    previous = replace(
        transcript,
        text=text,
        sha256=sha256,
        fiscal_year=year,
        quarter=quarter,
        notice=notice,
        speeches=speeches_of(speeches),
    )
    return replace(transcript, previous=previous), str(version)


app = ps.App("aegis", [reports], settings=Settings, resources=[open_writer])
