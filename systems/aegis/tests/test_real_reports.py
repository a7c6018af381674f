"""Every real call's two reports as a whole: sums that add up, and nothing in them that is not in its transcript."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from aegis.reports import REPORT_TYPES
from aegis.reports.analysis import analyse
from aegis.reports.change import span_of
from aegis.reports.composition import Composition, compose, quotes_of
from aegis.reports.passages import passages
from aegis.reports.quality import REASONS
from systems.aegis.tests.calls import real_calls, written


@pytest.mark.asyncio
@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_every_report_adds_up_and_is_verbatim_throughout(real_transcripts: Path) -> None:
    statements = compared = rows = reports = 0
    for transcript in real_calls(real_transcripts):
        for report_type in REPORT_TYPES:
            report = compose(await written(transcript, report_type), transcript, report_type, writer="extractive")
            reports += 1
            adds_up(report)
            surroundings(report)
            if transcript.previous is not None:
                statements += report.quality.guidance
                compared += counterparts(report)
            rows += cells(report)
    assert reports == 256
    assert statements > 500
    assert compared / statements >= 0.45
    assert rows > 700


def adds_up(report: Composition) -> None:
    """The page of quality: every sentence of the call once, every exchange once."""
    quality, analysis = report.quality, analyse(report.transcript)
    for tally in (quality.statements, quality.questions, *quality.sections.values()):
        if tally is not None:
            assert tally.considered == tally.kept + sum(tally.dropped.values())
            assert min(tally.considered, tally.kept, *tally.dropped.values(), 0) >= 0
    assert quality.statements.considered == len(analysis.utterances)
    assert set(quality.statements.dropped) <= set(REASONS)
    assert quality.quotes == len(quotes_of(report.sections))
    if report.report_type == "Call Summary":
        assert quality.statements.kept == quality.quotes
    else:
        assert quality.questions is not None
        assert quality.questions.considered == len(analysis.exchanges)
        asked = sum(block.question is not None for section in report.sections for block in section.blocks)
        assert quality.questions.kept == asked


def surroundings(report: Composition) -> None:
    """The passages: each quote in exactly one of them, in the order of the text, without overlaps."""
    quotes = quotes_of(report.sections)
    found = passages(quotes, report.transcript)
    within = [(one.start, one.end) for passage in found for one in passage.quotes]
    assert sorted(within) == sorted({(one.start, one.end) for one in quotes})
    for passage in found:
        assert all(passage.start <= one.start < one.end <= passage.end for one in passage.quotes)
    for one, other in pairwise(found):
        assert one.end <= other.start


def counterparts(report: Composition) -> int:
    """How many statements have a counterpart, each verbatim in the previous call and of no other span of time."""
    previous = report.transcript.previous
    assert previous is not None
    pairs = [(one, one.earlier) for one in quotes_of(report.sections) if one.earlier is not None]
    for quote, earlier in pairs:
        assert previous.text[earlier.start : earlier.end] == earlier.text
        assert len({span_of(quote.text), span_of(earlier.text)} - {None}) <= 1, (quote.text, earlier.text)
    return len(pairs)


def cells(report: Composition) -> int:
    """How many rows of figures there are, every cell word for word in a quote of its own call."""
    for row in report.figures:
        for cell in (row.level, row.change):
            assert cell is None or cell.text in cell.quote.text
        if row.earlier is not None:
            assert row.earlier.text in row.earlier.quote.text
            quote, previous = row.earlier.quote, report.transcript.previous
            assert previous is not None
            assert previous.text[quote.start : quote.end] == quote.text
    return len(report.figures)
