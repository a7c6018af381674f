"""The Word document: what an analyst hands on. It stands by itself, and its links lead to the quotes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aegis.reports import REPORT_TYPES, CallTranscript, Draft, Section, typeset
from aegis.reports.composition import quotes_of
from systems.aegis.tests.calls import call, report, sample, written

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
TYPES = pytest.mark.parametrize("report_type", REPORT_TYPES)


async def typed(transcript: CallTranscript, report_type: str, to: Path) -> tuple[list[Section], Draft, Any]:
    from docx import Document

    sections = await written(transcript, report_type)
    draft = typeset(sections, transcript, report_type, to)
    return sections, draft, Document(str(draft.docx))


def elements(document: Any, tag: str) -> Iterator[Any]:
    yield from document.element.body.iter(f"{W}{tag}")


def text_of(element: Any) -> str:
    return "".join(part.text or "" for part in element.iter(f"{W}t"))


def bookmarked(document: Any) -> dict[str, str]:
    """What stands right after each bookmark, in its paragraph."""
    found: dict[str, str] = {}
    for start in elements(document, "bookmarkStart"):
        after = [sibling for sibling in start.itersiblings() if sibling.tag == f"{W}r"]
        found[start.get(f"{W}name")] = "".join(map(text_of, after))
    return found


@pytest.mark.asyncio
@TYPES
async def test_every_link_within_the_document_leads_to_its_quote(tmp_path: Path, report_type: str) -> None:
    sections, _, document = await typed(sample(), report_type, tmp_path)
    marks = bookmarked(document)
    names = [mark.get(f"{W}name") for mark in elements(document, "bookmarkStart")]
    assert len(names) == len(set(names))
    numbers = [mark.get(f"{W}id") for mark in elements(document, "bookmarkStart")]
    assert len(numbers) == len(set(numbers))
    inner = [link for link in elements(document, "hyperlink") if link.get(f"{W}anchor")]
    assert {link.get(f"{W}anchor") for link in inner} <= set(names)
    by_place = {(text_of(link), link.get(f"{W}anchor")) for link in inner}
    for quote in quotes_of(sections):
        mark = f"c{quote.start}_{quote.end}"
        assert (f"chars {quote.start}–{quote.end}", mark) in by_place
        assert marks[mark].startswith(quote.text)


@pytest.mark.asyncio
@TYPES
async def test_the_passages_link_to_the_transcripts_pages(tmp_path: Path, report_type: str) -> None:
    transcript = sample()
    _, _, document = await typed(transcript, report_type, tmp_path)
    outer = {
        link.target_ref
        for link in document.part.rels.values()
        if link.is_external and "transcript.html" in link.target_ref
    }
    assert len(outer) > 5
    for target in outer:
        name, anchor = target.split("#")
        assert f'<span id="{anchor}">' in (tmp_path / name).read_text(encoding="utf-8")
    pages = {target.split("#")[0] for target in outer}
    assert pages == (
        {"RY_2025_Q2_transcript.html", "RY_2025_Q1_transcript.html"}
        if report_type == "Call Summary"
        else {"RY_2025_Q2_transcript.html"}
    )


@pytest.mark.asyncio
@TYPES
async def test_the_contents_are_a_field_and_are_filled_in(tmp_path: Path, report_type: str) -> None:
    sections, _, document = await typed(sample(), report_type, tmp_path)
    (field,) = [code for code in elements(document, "instrText") if "TOC" in code.text]
    assert field.text.strip() == r'TOC \o "1-1" \h \z \u'
    (contents,) = list(elements(document, "sdt"))
    kinds = [mark.get(f"{W}fldCharType") for mark in contents.iter(f"{W}fldChar")]
    assert kinds == ["begin", "separate", "end"]
    entries = {link.get(f"{W}anchor"): text_of(link) for link in contents.iter(f"{W}hyperlink")}
    headings = [p.text for p in document.paragraphs if p.style.name == "Heading 1"]
    marks = bookmarked(document)
    assert [marks[anchor] for anchor in entries] == headings
    assert all(entry.startswith(heading) for entry, heading in zip(entries.values(), headings, strict=True))
    wanted = [section.title for section in sections if section.blocks]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert headings[-2:] == ["Quality of this report", "Passages"]
    assert headings[0] == ("Figures and changes" if report_type == "Call Summary" else "Questions by theme")


@pytest.mark.asyncio
async def test_guidance_stands_beside_last_quarters(tmp_path: Path) -> None:
    transcript = sample()
    draft = await report(transcript, "Call Summary", tmp_path)
    from docx import Document

    (table,) = [
        one
        for one in Document(str(draft.docx)).tables
        if one.rows[0].cells[0].text == "Measure" and len(one.columns) == 3
    ]
    assert [cell.text for cell in table.rows[0].cells] == ["Measure", "2025 Q2", "Last quarter, 2025 Q1"]
    assert transcript.previous is not None
    beside = 0
    for row in table.rows[1:]:
        label, now, before = (cell.text for cell in row.cells)
        assert label
        assert re.match(r"“.+”\n.+, (?:prepared remarks|questions and answers), chars \d+–\d+$", now)
        match = re.match(r"“(.+)”\n.+, (?:prepared remarks|questions and answers), chars (\d+)–(\d+)$", before)
        if match:
            beside += 1
            assert transcript.previous.text[int(match[2]) : int(match[3])] == match[1]
        else:
            assert before == "No statement of this kind was found in the previous call."
    assert beside >= 4


@pytest.mark.asyncio
async def test_figures_are_a_table_with_the_previous_quarter(tmp_path: Path) -> None:
    _, _, document = await typed(sample(), "Call Summary", tmp_path)
    (table,) = [one for one in document.tables if one.rows[0].cells[0].text == "Figure"]
    assert [cell.text for cell in table.rows[0].cells] == [
        "Figure",
        "2025 Q2",
        "Change, as said on the call",
        "2025 Q1",
    ]
    rows = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows[1:]}
    assert re.fullmatch(r"\d+\.\d%", rows["CET1 ratio"][0])
    assert re.fullmatch(r"up \d+ basis points", rows["CET1 ratio"][1])
    assert re.fullmatch(r"\d+\.\d%", rows["CET1 ratio"][2])


@pytest.mark.asyncio
async def test_the_head_says_what_a_reader_must_know(tmp_path: Path) -> None:
    transcript = sample(notice="It starts in the middle of the call.", before="It holds only the questions.")
    _, _, document = await typed(transcript, "Key Themes", tmp_path)
    shown = [(one.style.name, one.text) for one in document.paragraphs]
    assert shown[0] == ("Title", "Bank RY (RY)")
    assert shown[1] == ("Subtitle", "Key Themes, 2025 Q2 earnings call")
    notices = [text for style, text in shown if style == "Notice"]
    assert notices == [
        "Notice. It starts in the middle of the call.",
        "Notice. Of the previous call, 2025 Q1: It holds only the questions.",
    ]
    assert shown.index(("Notice", notices[0])) < next(at for at, (style, _) in enumerate(shown) if style == "Heading 1")
    facts = {row.cells[0].text: row.cells[1].text for row in document.tables[0].rows}
    assert facts["Compared with"] == "the previous call, 2025 Q1"
    assert transcript.sha256 in facts["Transcript"]
    section = document.sections[0]
    assert section.header.paragraphs[0].text == "Bank RY (RY)\tKey Themes, 2025 Q2"
    for footer in (section.footer, section.first_page_footer):
        codes = [code.text.strip() for code in footer.paragraphs[0]._p.iter(f"{W}instrText")]
        assert codes == ["PAGE", "NUMPAGES"]


@pytest.mark.asyncio
async def test_a_call_without_a_previous_one_says_so(tmp_path: Path) -> None:
    transcript = replace(sample(), previous=None)
    sections, draft, document = await typed(transcript, "Call Summary", tmp_path)
    facts = {row.cells[0].text: row.cells[1].text for row in document.tables[0].rows}
    assert facts["Compared with"] == "nothing, since no call of 2025 Q1 is held"
    assert "Last quarter" not in draft.markdown.read_text(encoding="utf-8")
    words = [paragraph.text for paragraph in document.paragraphs if paragraph.style.name == "Quote"]
    assert words == [f"“{quote.text}”" for quote in quotes_of(sections)]
    pages = sorted(tmp_path.glob("*.html"))  # noqa: ASYNC240  (a local folder)
    assert [path.name for path in pages] == ["RY_2025_Q2_transcript.html"]


@pytest.mark.asyncio
@TYPES
async def test_a_report_of_nothing_is_a_document_too(tmp_path: Path, report_type: str) -> None:
    _, _, document = await typed(call("Hello. \x00\x0b\x1f Nothing was said \ufffe today."), report_type, tmp_path)
    words = "\n".join(paragraph.text for paragraph in document.paragraphs)
    assert "No sentence of this call" in words or "there are no key themes" in words
    assert "Quality of this report" in words


@pytest.mark.asyncio
@TYPES
async def test_the_same_input_with_its_previous_call_gives_the_same_bytes(tmp_path: Path, report_type: str) -> None:
    first = await report(sample("GS"), report_type, tmp_path / "a")
    second = await report(sample("GS"), report_type, tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert first.quality == second.quality
    with zipfile.ZipFile(first.docx) as archive:
        assert "docProps/thumbnail.jpeg" not in archive.namelist()


@pytest.fixture
def office() -> str:
    """The command of LibreOffice; without it the test is skipped on a laptop and fails in CI."""
    missing = [name for name in ("soffice", "pdftotext") if shutil.which(name) is None]
    if missing:
        reason = f"{' and '.join(missing)} not installed; apt-get install libreoffice-writer poppler-utils"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return "soffice"


@pytest.mark.asyncio
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_libreoffice_opens_it_and_shows_all_of_it(tmp_path: Path, office: str) -> None:
    made: list[tuple[list[Section], Draft]] = []
    for report_type in REPORT_TYPES:
        sections, draft, _ = await typed(sample(notice="It was cut."), report_type, tmp_path)
        made.append((sections, draft))
    files = [str(draft.docx) for _, draft in made]
    profile = f"-env:UserInstallation=file://{tmp_path / 'profile'}"
    command = [office, profile, "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path), *files]
    subprocess.run(command, check=True, capture_output=True, timeout=300)  # noqa: ASYNC221
    for sections, draft in made:
        pages = printed(draft.docx.with_suffix(".pdf"))
        words = " ".join(" ".join(pages).split())
        assert f"Page 1 of {len(pages)}" in " ".join(pages[0].split())
        assert f"Page {len(pages)} of {len(pages)}" in " ".join(pages[-1].split())
        first = " ".join(pages[0].split())
        assert "Notice. It was cut." in first
        contents = first.split("Contents", 1)[1]
        for heading in [
            *(section.title for section in sections if section.blocks),
            "Quality of this report",
            "Passages",
        ]:
            assert heading in contents
        plain = re.sub(r"\s", "", words)
        for quote in quotes_of(sections):
            assert re.sub(r"\s", "", quote.text) in plain


def printed(pdf: Path) -> list[str]:
    """The text of each page."""
    text = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], check=True, capture_output=True, encoding="utf-8")
    return text.stdout.split("\f")[:-1]
