"""The page of quality: every sentence counted once, with its reason, and told in every form of the report."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from aegis.reports import REPORT_TYPES, LlmWriter, Quality, Tally, typeset
from aegis.reports.analysis import analyse, is_quotable
from aegis.reports.composition import quotes_of
from aegis.reports.quality import REASONS, REFUSALS, assess, unquotable
from penstock import data
from penstock.testing import servers
from penstock.testing.servers import Answer
from systems.aegis.tests.calls import call, report, sample, written


def test_a_tally_that_does_not_add_up_is_none() -> None:
    assert Tally(considered=3, kept=1, dropped={"short": 2}).kept == 1
    with pytest.raises(ValidationError, match="3 were considered, but 1 kept"):
        Tally(considered=3, kept=1, dropped={"short": 1})


@pytest.mark.asyncio
@pytest.mark.parametrize("report_type", REPORT_TYPES)
async def test_every_sentence_of_the_call_is_counted_once(report_type: str) -> None:
    transcript = sample("BMO")
    sections = await written(transcript, report_type)
    quality = assess(sections, transcript, report_type)
    assert quality.statements.considered == len(analyse(transcript).utterances)
    assert set(quality.statements.dropped) <= set(REASONS)
    assert quality.quotes == len(quotes_of(sections))
    answers = sum(len(block.quotes) for section in sections for block in section.blocks)
    assert (quality.managements, quality.words) == (answers, len(transcript.text.split()))
    if report_type == "Call Summary":
        assert quality.statements.kept == quality.quotes
        assert quality.questions is None
        assert quality.guidance > 0
    else:
        assert quality.questions is not None
        assert quality.questions.kept == sum(bool(b.question) for section in sections for b in section.blocks)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Net interest income grew 3% from the prior quarter on asset repricing.", None),
        ("So net interest income grew 3% in the quarter, is that right?", "question"),
        ("Our remarks include forward-looking statements and the risks to them.", "boilerplate"),
        ("It grew 3%.", "short"),
        ("Loans grew 3% and " + "our clients drew on their lines again and " * 10 + "that was it.", "long"),
        ("Net interest income grew 3% in the quarter as deposits fell and the", "cut"),
    ],
)
def test_why_a_sentence_cannot_be_quoted(sentence: str, reason: str | None) -> None:
    assert unquotable(sentence) == reason
    assert (unquotable(sentence) is None) == is_quotable(sentence)


OPENING = [
    "Thank you all for joining the call this morning.",
    "Our loans grew 3% in the quarter to $40 billion.",
    "The weather in the city was good for most of the month of May.",
    *[f"Branch number {number} was opened again in the old town hall." for number in range(30)],
]


@pytest.mark.asyncio
async def test_the_reasons_are_those_that_a_reader_would_give() -> None:
    statements = [
        *OPENING,
        "Our loans grew 3% in the quarter to $40 billion, in all.",
        "Our loans in one of the smaller regions grew 1%.",
    ]
    transcript = call(" ".join(statements))
    sections = await written(transcript, "Call Summary")
    assert [quote.text for quote in quotes_of(sections)] == [OPENING[1]]
    tally = assess(sections, transcript, "Call Summary").statements
    assert (tally.considered, tally.kept) == (len(statements), 1)
    assert tally.dropped == {"boilerplate": 1, "no_topic": 31, "duplicate": 1, "weaker": 1}


@pytest.mark.asyncio
async def test_questions_that_a_writer_leaves_out_are_told_from_those_that_ask_nothing() -> None:
    transcript = sample()
    sections = await written(transcript, "Key Themes")
    whole = assess(sections, transcript, "Key Themes").questions
    first = next(section for section in sections if section.blocks)
    rest = [section.model_copy(update={"blocks": []}) if section is first else section for section in sections]
    less = assess(rest, transcript, "Key Themes").questions
    assert whole is not None
    assert less is not None
    assert "not_asked" not in whole.dropped
    assert less.dropped["not_asked"] == len(first.blocks) == whole.kept - less.kept
    assert less.considered == whole.considered


@pytest.mark.asyncio
@pytest.mark.parametrize("report_type", REPORT_TYPES)
async def test_the_page_is_in_both_forms_and_in_the_draft(tmp_path: Path, report_type: str) -> None:
    from docx import Document

    draft = await report(sample(), report_type, tmp_path)
    quality = draft.quality
    assert quality is not None
    assert Quality.model_validate_json(quality.model_dump_json()) == quality
    told = {"quoted": quality.statements.kept}
    told |= {f"not quoted: {REASONS[key]}": n for key, n in quality.statements.dropped.items()}  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    page = draft.markdown.read_text(encoding="utf-8").split("## Quality of this report")[1]
    (markdown,) = re.findall(r"\| Statements of the call \| Number \|\n\| --- \| --- \|\n((?:\|.+\n)+)", page)
    counted = dict(re.findall(r"\| (?:\*\*)?(.+?)(?:\*\*)? \| (?:\*\*)?([\d,]+)(?:\*\*)? \|", markdown))
    assert int(counted.pop("Considered").replace(",", "")) == quality.statements.considered
    assert {text: int(number.replace(",", "")) for text, number in counted.items()} == told
    rows = [
        [cell.text for cell in row.cells]
        for table in Document(str(draft.docx)).tables
        if table.rows[0].cells[0].text == "What became of them"
        for row in table.rows[1:]
    ]
    statements = rows[: len(told) + 1]
    assert {row[0]: int(row[1].replace(",", "")) for row in statements[:-1]} == told
    assert statements[-1][:2] == ["considered", f"{quality.statements.considered:,}"]
    assert sum(int(row[1].replace(",", "")) for row in statements[:-1]) == quality.statements.considered


PER = {"input": Decimal("0.40"), "output": Decimal("1.60")}
GIVEN = {
    "points": [
        {"label": "Net charge-offs", "quote": "Net charge-offs were 99 basis points, we made that up."},
        {"label": "Best bank of all", "quote": "Thank you."},
    ]
}


@pytest.mark.asyncio
async def test_what_a_language_model_gave_adds_up_in_every_form(tmp_path: Path) -> None:
    from docx import Document

    transcript = sample()
    with servers.openai(Answer(text=json.dumps(GIVEN))) as server:
        prices = {"m": {key: str(usd) for key, usd in PER.items()}}
        async with data.Llm("m", api_key="k", base_url=server.url, prices=prices, max_tokens=4000) as llm:
            writer = LlmWriter(llm, context=60_000)
            sections = [await writer.section(transcript, "credit")]
        paid = server.bill.total(**PER)
    draft = typeset(sections, transcript, "Call Summary", tmp_path, writer=writer.name)
    assert draft.quality is not None
    model = draft.quality.model
    assert model is not None
    assert model.quotes == Tally(considered=4, kept=0, dropped={"not_verbatim": 2, "label": 2})
    assert (model.asked_again, model.given_up, model.cost_usd) == (2, 2, paid)
    assert paid > 0
    assert Quality.model_validate_json(draft.quality.model_dump_json()) == draft.quality
    rows = {
        "Considered": "4",
        f"not quoted: {REFUSALS['not_verbatim']}": "2",
        f"not quoted: {REFUSALS['label']}": "2",
    }
    trusted = {"Quotes that were asked for again": "2, of which 2 in vain", "Cost, US dollars": f"{paid:f}"}
    page = draft.markdown.read_text(encoding="utf-8").split("## Quality of this report")[1].replace("*", "")
    given = page.split("| Quotes that the language model gave | Number |")[1]
    assert all(f"| {text} | {number} |" in given for text, number in rows.items())
    assert all(f"| {text} | {value} |" in page for text, value in trusted.items())
    cells = [[cell.text for cell in row.cells] for table in Document(str(draft.docx)).tables for row in table.rows]
    assert [row for row in cells if row[:2] == ["considered", "4"]] == [["considered", "4", "100 %"]]
    assert all([text, value] in cells for text, value in trusted.items())


@pytest.mark.asyncio
async def test_a_report_without_a_model_says_nothing_of_one() -> None:
    transcript = sample()
    assert assess(await written(transcript, "Key Themes"), transcript, "Key Themes").model is None
