"""Reports on transcripts that name their speakers: known names, places by speech and offset, the same bar."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from docx import Document

from aegis.ingest import create_tables, ingest
from aegis.institutions import load_institutions
from aegis.pipelines import Report, read_transcript
from aegis.reports import REPORT_TYPES, CallTranscript, Quote, Section, typeset
from aegis.samples import sample_call
from aegis.transcripts import Transcript, inspect, read_source
from aegis.transcripts.companies import companies
from systems.aegis.tests.calls import written
from systems.aegis.tests.commands import Commands
from systems.aegis.tests.layouts import ODD, converted, data, odd
from systems.aegis.tests.test_reports import FORBIDDEN, follow

BANKS = load_institutions()
KNOWN = {ticker: company.name for ticker, company in companies().items()}


def call_of(one: Transcript) -> CallTranscript:
    return CallTranscript.of(one, KNOWN[one.ticker])


def odd_call(folder: Path, content: object = ODD) -> CallTranscript:
    (folder / "RY_q2_2025.txt").write_bytes(data(content))
    (transcript,) = inspect(read_source(folder), KNOWN).accepted
    return call_of(transcript)


def quotes(sections: list[Section]) -> list[Quote]:
    return [quote for section in sections for block in section.blocks for quote in block.quotes]


@pytest.mark.asyncio
async def test_speakers_are_printed_as_known_with_their_titles(tmp_path: Path) -> None:
    call = odd_call(tmp_path)
    texts: list[str] = []
    for report_type in REPORT_TYPES:
        draft = typeset(await written(call, report_type), call, report_type, tmp_path / "out")
        texts.append(draft.markdown.read_text(encoding="utf-8"))
        texts.append("\n".join(paragraph.text for paragraph in Document(str(draft.docx)).paragraphs))
    for text in texts:
        assert "inferred" not in text
        assert "as heard" not in text
        assert "speech recognition" not in text
        assert "names its speakers" in text
    summary, _, themes, _ = texts
    assert "(prepared remarks, Katherine Gibson, Chief Financial Officer; [speech 5, chars 0–59](" in summary
    assert "**Q** Ebrahim Poonawala, Bank of America Merrill Lynch: “Could you talk about" in themes
    assert "**Q** Zoe Fairweather, Lakeshore Partners: " in themes
    assert "**A** Neil McLaughlin: “Our deposit costs declined" in themes


@pytest.mark.asyncio
@pytest.mark.parametrize("report_type", REPORT_TYPES)
async def test_a_quote_stands_in_the_file_where_its_locator_says(tmp_path: Path, report_type: str) -> None:
    call = odd_call(tmp_path)
    draft = typeset(await written(call, report_type), call, report_type, tmp_path / "out")
    places = re.findall(
        r"“([^“”]+)” \(?[^“”\[\]]*\[speech (\d+), chars (\d+)–(\d+)\]\(([^)]+)\)", draft.markdown.read_text("utf-8")
    )
    assert len(places) > 4
    entries = [*ODD["prepared_remarks"], *ODD["q_and_a"]]
    for quoted, number, start, end, link in places:
        words = re.sub(r"\\(.)", r"\1", quoted)
        assert entries[int(number) - 1]["speech"][int(start) : int(end)] == words
        text, place = follow(tmp_path / "out", link)
        assert text == call.text  # carriage returns too
        assert text[place : place + len(words)] == words


@pytest.mark.asyncio
async def test_the_page_shows_every_speech_with_its_speaker_beside_the_text(tmp_path: Path) -> None:
    call = odd_call(tmp_path)
    typeset(await written(call, "Call Summary"), call, "Call Summary", tmp_path / "out")
    page = (tmp_path / "out" / "RY_2025_Q2_transcript.html").read_text(encoding="utf-8")
    shown = re.findall(r'<p id="s(\d+)" data-speech="([^"]+)" title="([^"]+)">', page)
    assert [(int(number), place) for number, _, place in shown] == [(one.number, one.place) for one in call.speeches]
    assert ("8", "8 · Ebrahim Poonawala, Bank of America Merrill Lynch", "q_and_a[1]") in shown


@pytest.mark.asyncio
async def test_nothing_is_quoted_of_directions_and_unknown_speakers(tmp_path: Path) -> None:
    call = odd_call(tmp_path)
    said = [quote.text for report_type in REPORT_TYPES for quote in quotes(await written(call, report_type))]
    assert said
    assert not any("[" in text or "80% payout" in text or "1.64%" in text for text in said)


@pytest.mark.asyncio
async def test_with_everything_in_the_remarks_the_reports_are_the_same(tmp_path: Path) -> None:
    lists = odd(prepared_remarks=[*ODD["prepared_remarks"], *ODD["q_and_a"]], q_and_a=[])
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = odd_call(tmp_path / "a"), odd_call(tmp_path / "b", lists)
    for report_type in REPORT_TYPES:
        assert await written(one, report_type) == await written(other, report_type)


@pytest.mark.asyncio
async def test_a_quote_that_crosses_speeches_is_never_written(tmp_path: Path) -> None:
    call = odd_call(tmp_path)
    sections = await written(call, "Call Summary")
    first, second = call.speeches[2], call.speeches[3]
    crossing = Quote(
        text=call.text[first.start : second.end], start=first.start, end=second.end, speaker="x", part="prepared"
    )
    filled = next(section for section in sections if section.blocks)
    filled.blocks[0].quotes[0] = crossing
    with pytest.raises(ValueError, match="no single speech"):
        typeset(sections, call, "Call Summary", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.asyncio
async def test_the_speakers_come_back_from_the_database(database_url: str, tmp_path: Path) -> None:
    written_to = tmp_path / "RY_q2_2025.txt"
    written_to.write_bytes(data(ODD))
    report = Report(BANKS["RY"].id, "RY", KNOWN["RY"], 2025, "Q2", "Call Summary")
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await create_tables(conn)
        first = await ingest(conn, tmp_path, BANKS)
        stored, _ = await read_transcript(conn, report)
        assert stored == odd_call(tmp_path)
        second = await ingest(conn, tmp_path, BANKS)
        # The plain layout in its place: no speakers are left of the other.
        written_to.unlink()
        (tmp_path / "RY_2025_Q2.txt").write_text(sample_call(BANKS["RY"], 2025, "Q2"))
        third = await ingest(conn, tmp_path, BANKS)
        plain, _ = await read_transcript(conn, report)
    assert (first.new, second.unchanged, third.changed) == (1, 1, 1)
    assert plain.speeches == ()


def next_quarter(folder: Path) -> CallTranscript:
    """The call of the quarter after, in the layout too, with the odd one as its previous."""
    content = json.dumps(ODD).replace("between 3% and 5%", "between 4% and 6%").replace("Q2 2025", "Q3 2025")
    folder.mkdir()
    (folder / "RY_q3_2025.txt").write_text(content)
    (folder / "RY_q2_2025.txt").write_bytes(data(ODD))
    calls = {one.quarter: call_of(one) for one in inspect(read_source(folder), KNOWN).accepted}
    return replace(calls["Q3"], previous=calls["Q2"])


@pytest.mark.asyncio
async def test_what_was_said_a_quarter_before_is_located_by_speech_too(tmp_path: Path) -> None:
    call = next_quarter(tmp_path / "in")
    draft = typeset(await written(call, "Call Summary"), call, "Call Summary", tmp_path / "out")
    pattern = r"> \*Last quarter \(2025 Q2\):\* “([^”]+)” \((.+); \[speech (\d+), chars (\d+)–(\d+)\]"
    found = re.findall(pattern, draft.markdown.read_text(encoding="utf-8"))
    assert found
    entries = [*ODD["prepared_remarks"], *ODD["q_and_a"]]
    for quoted, who, number, start, end in found:
        assert entries[int(number) - 1]["speech"][int(start) : int(end)] == quoted
        assert who.endswith(", Katherine Gibson, Chief Financial Officer")
    assert "between 3% and 5%" in found[0][0]


@pytest.mark.asyncio
@pytest.mark.parametrize("report_type", REPORT_TYPES)
async def test_passages_in_word_are_located_by_speech(tmp_path: Path, report_type: str) -> None:
    call = next_quarter(tmp_path / "in")
    assert call.previous is not None
    sections = await written(call, report_type)
    document = Document(str(typeset(sections, call, report_type, tmp_path / "out").docx))
    texts = [paragraph.text for paragraph in document.paragraphs]
    body = texts[texts.index("Passages") :] if "Passages" in texts else []
    places = [
        (match, passage)
        for head, passage in pairwise(body)
        if (match := re.search(r"speech (\d+), chars (\d+)–(\d+)$", head))
    ]
    assert len(places) > 2
    assert not [text for text in body if re.search(r"(?<!\d), chars \d", text)]
    by_number = {speech.number: speech for speech in call.speeches}  # numbers and starts are those of the previous call
    for match, passage in places:
        speech = by_number[int(match[1])]
        start, end = speech.start + int(match[2]), speech.start + int(match[3])
        assert end <= speech.end
        assert passage.split() in (call.text[start:end].split(), call.previous.text[start:end].split())


@pytest.mark.asyncio
async def test_a_quality_page_says_that_the_transcript_names_its_speakers(tmp_path: Path) -> None:
    call = odd_call(tmp_path)
    draft = typeset(await written(call, "Key Themes"), call, "Key Themes", tmp_path / "out")
    assert draft.quality is not None
    assert draft.quality.speakers_known
    assert "| Speakers | named by the transcript |" in draft.markdown.read_text(encoding="utf-8")


@pytest.mark.asyncio
async def test_both_calls_speakers_come_back_from_the_database(database_url: str, tmp_path: Path) -> None:
    call = next_quarter(tmp_path / "in")
    report = Report(BANKS["RY"].id, "RY", KNOWN["RY"], 2025, "Q3", "Call Summary")
    async with await psycopg.AsyncConnection.connect(database_url) as conn:
        await create_tables(conn)
        await ingest(conn, tmp_path / "in", BANKS)
        stored, version = await read_transcript(conn, report)
    assert stored == call
    assert call.previous is not None
    assert f"+{call.previous.sha256}:" in version  # after the sum comes that of its notice


@pytest.mark.asyncio
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_real_calls_in_the_layout_keep_to_the_bar(tmp_path: Path, real_transcripts: Path) -> None:
    """Every fifth real call, converted: verbatim, in one speech, and management's words only."""
    plain = inspect(read_source(real_transcripts), KNOWN).accepted[::5]
    for one in plain:
        header = f"{KNOWN[one.ticker]} {one.quarter} {one.fiscal_year} Earnings Call"
        name = f"{one.ticker}_{one.quarter.lower()}_{one.fiscal_year}.txt"
        (tmp_path / name).write_bytes(data(converted(one.text, header)))
    result = inspect(read_source(tmp_path), KNOWN)
    assert result.rejected == []
    count = 0
    for transcript in result.accepted:
        call = call_of(transcript)
        by_place = {place: one for one in call.speeches for place in (one.start,)}
        for report_type in REPORT_TYPES:
            sections = await written(call, report_type)
            typeset(sections, call, report_type, tmp_path / "out")
            for quote in quotes(sections):
                count += 1
                assert call.text[quote.start : quote.end] == quote.text
                speech = by_place[max(start for start in by_place if start <= quote.start)]
                assert quote.end <= speech.end
                assert (quote.speaker, quote.speaker_inferred, speech.role) == (speech.speaker, False, "management")
                assert not FORBIDDEN.search(quote.text), quote.text
    assert count > 1_000


def test_the_commands_make_reports_of_both_layouts(database_url: str, tmp_path: Path) -> None:
    commands = Commands(database_url, tmp_path)
    calls = tmp_path / "calls"
    calls.mkdir()
    header = "Royal Bank of Canada (RY) Q2 2025 Earnings Call"
    (calls / "RY_q2_2025.txt").write_bytes(data(converted(sample_call(BANKS["RY"], 2025, "Q2"), header)))
    (calls / "BMO_2025_Q2.txt").write_text(sample_call(BANKS["BMO"], 2025, "Q2"))
    (calls / "TD_q2_2025.txt").write_text('{"prepared_remarks": [{"speaker": 1}]}')
    told = commands.ingest(calls).out
    assert "Accepted: 2 transcripts" in told
    assert "TD_q2_2025.txt has a number as prepared_remarks[0].speaker" in " ".join(told.split())
    for symbol, known in (("RY", True), ("BMO", False)):
        done = commands.module("aegis.etls.key_themes.main", "--bank", symbol, "--year", "2025", "--quarter", "Q2")
        assert done.code == 0, done
        markdown = next(Path(line) for line in done.lines if line.endswith(".md")).read_text(encoding="utf-8")
        assert ("names its speakers" in markdown) is known
        assert ("inferred" in markdown) is not known
        assert len(set(re.findall(r"\*\*Q\*\* ([^,]+),", markdown))) == 7  # the analysts of a sample
