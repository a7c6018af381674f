"""Calls for tests of reports: the samples and the real ones, each with the bank's call of the quarter before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from aegis.institutions import load_institutions
from aegis.reports import CallTranscript, Draft, ExtractiveWriter, Section, typeset
from aegis.samples import sample_call
from aegis.transcripts import inspect, read_source
from aegis.transcripts.companies import companies

BANKS = load_institutions()


def call(
    text: str, symbol: str = "RY", year: int = 2025, quarter: str = "Q2", notice: str | None = None
) -> CallTranscript:
    """A call of this text."""
    return CallTranscript(
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        bank_name=f"Bank {symbol}",
        bank_symbol=symbol,
        fiscal_year=year,
        quarter=quarter,
        notice=notice,
    )


def sample(symbol: str = "RY", notice: str | None = None, before: str | None = None) -> CallTranscript:
    """A sample call of 2025 Q2 with that of 2025 Q1; `notice` and `before` are what is flagged of them."""
    previous = call(sample_call(BANKS[symbol], 2025, "Q1"), symbol, 2025, "Q1", before)
    return replace(call(sample_call(BANKS[symbol], 2025, "Q2"), symbol, notice=notice), previous=previous)


def real_calls(source: Path, *symbols: str) -> list[CallTranscript]:
    """The real calls that are accepted, of these banks or of all, each with its previous one where that is held."""
    known = {ticker: company.name for ticker, company in companies().items()}
    files = (file for file in read_source(source) if not symbols or Path(file.name).name.startswith(symbols))
    found = [CallTranscript.of(one, f"Bank {one.ticker}") for one in inspect(files, known).accepted]
    calls = {(one.bank_symbol, one.period): one for one in found}
    return [replace(one, previous=calls.get((one.bank_symbol, one.period_before))) for one in calls.values()]


async def written(transcript: CallTranscript, report_type: str) -> list[Section]:
    """The extractive writer's sections."""
    writer = ExtractiveWriter()
    return [await writer.section(transcript, topic) for topic in writer.topics(report_type)]


async def report(transcript: CallTranscript, report_type: str, to: Path) -> Draft:
    """The extractive writer's report, on disk."""
    return typeset(await written(transcript, report_type), transcript, report_type, to)
