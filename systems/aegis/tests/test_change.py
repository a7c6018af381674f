"""Guidance beside last quarter's: which statement is whose counterpart, and that both can be found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from aegis.reports import Block, CallTranscript, Quote, Section, typeset
from aegis.reports.change import beside_previous, span_of
from aegis.reports.composition import compose
from aegis.reports.likeness import likenesses
from aegis.semantic import Embed
from systems.aegis.tests.calls import call, real_calls, report, sample, written

REMARKS = "We had a good quarter and our teams did what they had said they would do. "


def guided(*statements: tuple[str, str]) -> tuple[Section, CallTranscript]:
    """A section of guidance with these statements, each under its label, and the call that says nothing else."""
    text = ""
    blocks: list[Block] = []
    for label, statement in statements:
        start = len(text)
        text += statement + " "
        quote = Quote(text=statement, start=start, end=start + len(statement), speaker="Management", part="prepared")
        blocks.append(Block(label=label, quotes=[quote]))
    section = Section(
        report_type="Call Summary",
        topic="guidance",
        title="Guidance",
        blocks=blocks,
        considered=len(blocks),
        kept=len(blocks),
        dropped=0,
    )
    return section, call(text)


def before(*statements: str) -> CallTranscript:
    """The previous call with these statements among others."""
    return call(REMARKS * 25 + " ".join(statements) + " " + REMARKS, quarter="Q1")


def counterparts(
    now: Sequence[tuple[str, str]], earlier: Sequence[str], embed: Embed | None = None
) -> list[str | None]:
    section, transcript = guided(*now)
    transcript = replace(transcript, previous=before(*earlier))
    found = beside_previous(section, transcript, embed)
    return [quote.earlier.text if quote.earlier else None for block in found.blocks for quote in block.quotes]


NII_YEAR = "We expect full-year 2025 net interest income to grow between 1% and 4%."
NII_QUARTER = "We expect second quarter net interest income to grow about 2% as deposit costs decline."
EXPENSES = "We expect full-year 2025 expenses to be up 2% to 3%."


def test_a_statement_stands_beside_the_one_on_its_measure_and_its_span() -> None:
    now = [
        ("Net interest income", "We now expect full year 2025 net interest income to grow between 3% and 5%."),
        ("Net interest income", "For the third quarter we expect net interest income to be up 1%."),
        ("Expenses", "We continue to expect full-year 2025 expenses to be up 2%."),
    ]
    assert counterparts(now, [EXPENSES, NII_QUARTER, NII_YEAR]) == [NII_YEAR, NII_QUARTER, EXPENSES]


def test_what_nothing_was_said_of_has_no_counterpart() -> None:
    now = [("Tax rate", "We expect our full-year tax rate to be about 20%.")]
    assert counterparts(now, [NII_YEAR, EXPENSES]) == [None]


@pytest.mark.parametrize(
    "now",
    [
        "We expect net interest income to grow 4% in 2026.",  # another year
        "We expect third quarter net interest income to grow 1%.",  # a quarter beside a year
    ],
)
def test_another_span_of_time_is_no_counterpart(now: str) -> None:
    assert counterparts([("Net interest income", now)], [NII_YEAR]) == [None]


def test_an_earlier_statement_stands_beside_one_only() -> None:
    now = [
        ("Net interest income", "We expect full-year 2025 net interest income to grow between 1% and 3%."),
        ("Net interest income", "We expect 2025 net interest income in the retail bank to grow 6%."),
    ]
    assert counterparts(now, [NII_YEAR]) == [NII_YEAR, None]


def test_a_statement_on_another_measure_counts_where_it_names_this_one() -> None:
    now = [("Expenses", "We now expect full-year 2025 expenses to be up 1% to 2%.")]
    earlier = "As our outlook for revenue has come down, we now expect full-year 2025 expenses to be flat to up 2%."
    assert counterparts(now, [earlier]) == [earlier]


def test_an_embedding_function_decides_where_one_is_given() -> None:
    now = [("Loans", "We expect average loans to grow 3%.")]
    near, far = "We expect average loans to grow 2%.", "We expect commercial loans to decline 4%."
    assert counterparts(now, [near, far]) == [near]
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[0.0, 1.0] if text == near else [1.0, 0.1] for text in texts]

    assert counterparts(now, [near, far], embed) == [far]
    assert set(asked) == {now[0][1], near, far}


@pytest.mark.parametrize(("likeness", "found"), [(0.44, False), (0.46, True)])
def test_by_embeddings_a_counterpart_must_be_nearer(likeness: float, found: bool) -> None:
    statement, earlier = "We expect average loans to grow 3%.", "We expect average loans to grow 2%."

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, 0.0] if text == statement else [likeness, (1 - likeness**2) ** 0.5] for text in texts]

    assert counterparts([("Loans", statement)], [earlier], embed) == [earlier if found else None]


@pytest.mark.asyncio
async def test_a_report_is_compared_by_the_embeddings_that_it_is_given(tmp_path: Path) -> None:
    transcript = sample()
    sections = await written(transcript, "Call Summary")
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, float(at)] for at, _ in enumerate(texts)]

    typeset(sections, transcript, "Call Summary", tmp_path, embed=embed)
    guided = {
        quote.text for section in sections if section.topic == "guidance" for b in section.blocks for quote in b.quotes
    }
    assert guided & set(asked)


def test_other_sections_and_calls_without_a_previous_one_stay_as_they_are() -> None:
    section, transcript = guided(("Expenses", EXPENSES))
    assert beside_previous(section, transcript) is section
    other = section.model_copy(update={"topic": "expenses"})
    assert beside_previous(other, replace(transcript, previous=before(EXPENSES))) is other


@pytest.mark.parametrize(
    ("statement", "span"),
    [
        ("We expect full-year expenses to be flat.", "year"),
        ("In the third quarter of 2025 we expect fees to rise.", "quarter"),
        ("We expect it in the second half of the year.", "half"),
        ("Over the medium term we target a ROTCE of 16%.", "later"),
        ("We expect loans to grow.", None),
    ],
)
def test_for_what_span_a_statement_speaks(statement: str, span: str | None) -> None:
    assert span_of(statement) == span


def test_likeness_is_of_words_that_say_something() -> None:
    (row,) = likenesses(["We expect deposits to grow"], ["We expect fees to grow", "deposits will grow", ""], [])
    assert row[1] > row[0] >= row[2] == 0.0
    assert likenesses([], ["a"], []) == []
    assert likenesses(["deposits"], [], []) == [[]]
    assert likenesses(["deposits grow"], ["deposits grow"], [])[0][0] == pytest.approx(1.0)


@pytest.mark.asyncio
async def test_both_quotes_are_found_from_the_report(tmp_path: Path) -> None:
    transcript = sample()
    draft = await report(transcript, "Call Summary", tmp_path)
    lines = draft.markdown.read_text(encoding="utf-8").splitlines()
    pattern = (
        r"> \*Last quarter \(2025 Q1\):\* “(.+)” \(.*; \[chars (\d+)–(\d+)\]\(RY_2025_Q1_transcript.html#c(\d+)\)\)"
    )
    found = [match for line in lines if (match := re.fullmatch(pattern, line))]
    assert transcript.previous is not None
    assert len(found) >= 4
    for match in found:
        start, end = int(match[2]), int(match[3])
        assert transcript.previous.text[start:end] == re.sub(r"\\(.)", r"\1", match[1])
        assert f'<span id="c{match[4]}">' in (tmp_path / "RY_2025_Q1_transcript.html").read_text(encoding="utf-8")
        assert int(match[4]) == start


@pytest.mark.asyncio
async def test_an_earlier_quote_that_is_not_verbatim_is_never_written() -> None:
    transcript = sample()
    composed = compose(await written(transcript, "Call Summary"), transcript, "Call Summary", writer="extractive")
    with pytest.raises(ValueError, match="not in the previous transcript"):
        compose(composed.sections, replace(transcript, previous=sample("TD").previous), "Call Summary", writer="x")


@pytest.mark.asyncio
async def test_of_regions_second_quarter_the_pair_is_the_one_that_a_reader_would_choose(real_transcripts: Path) -> None:
    (transcript,) = [one for one in real_calls(real_transcripts, "RF") if one.period == "2025 Q2"]
    (section,) = [one for one in await written(transcript, "Call Summary") if one.topic == "guidance"]
    pairs = {
        quote.text: quote.earlier.text
        for block in beside_previous(section, transcript).blocks
        for quote in block.quotes
        if quote.earlier
    }
    now = "We now expect full year 2025 net interest income to grow between 3% and 5%."
    assert "now projected to grow between 1 and 4 percent" in pairs[now]
