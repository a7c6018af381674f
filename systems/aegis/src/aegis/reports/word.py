"""A report as a Word document whose bytes depend on nothing but its content."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from aegis.reports.markdown import NOTHING, asker, attribution, locator, provenance, shown, speaker
from aegis.reports.page import link

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aegis.reports.model import CallTranscript, Quote, Section

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""


def render_word(sections: Sequence[Section], transcript: CallTranscript, report_type: str, writer: str) -> bytes:
    """The document. Its dates are the first day of the quarter's last month, since a report has no time of its own."""
    from docx import Document

    document = Document()
    title = f"{transcript.bank_name} ({transcript.bank_symbol})"
    document.add_heading(_clean(title), level=0)
    document.add_heading(f"{report_type}, {transcript.fiscal_year} {transcript.quarter}", level=1)
    if transcript.notice:
        paragraph = document.add_paragraph(style="Intense Quote")
        paragraph.add_run("Notice. ").bold = True
        paragraph.add_run(_clean(transcript.notice))
    document.add_paragraph().add_run(provenance(writer, speakers_known=bool(transcript.speeches))).italic = True
    filled = [section for section in sections if section.blocks]
    if not filled:
        document.add_paragraph(NOTHING.get(report_type, "Nothing was found."))
    for section in filled:
        document.add_heading(section.title, level=2)
        for block in section.blocks:
            if block.question is not None:
                _paragraph(document, f"Q  {asker(block)}: ", block.question, transcript, source=None)
                for quote in block.quotes:
                    _paragraph(document, f"A  {speaker(quote)}: ", quote, transcript, source=None)
                continue
            for index, quote in enumerate(block.quotes):
                label = f"{block.label}. " if index == 0 else ""
                _paragraph(document, label, quote, transcript, source=attribution(quote))
    document.add_paragraph(f"Transcript SHA-256 {transcript.sha256}.")
    _fix_properties(document, transcript, f"{title}: {report_type}", writer)
    buffer = io.BytesIO()
    document.save(buffer)
    return repacked(buffer.getvalue())


def repacked(data: bytes) -> bytes:
    """A zip with its entries in a fixed order and without times: equal contents give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w") as target:
        # The list of content types comes first, as the format's own writers put it.
        for name in sorted(source.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            target.writestr(info, source.read(name))
    return buffer.getvalue()


def _paragraph(document: Any, label: str, quote: Quote, transcript: CallTranscript, *, source: str | None) -> None:
    paragraph = document.add_paragraph()
    if label:
        paragraph.add_run(_clean(label)).bold = True
    paragraph.add_run(f"“{_clean(shown(quote))}” ")
    paragraph.add_run(f"({_clean(source)}; " if source else "(")
    _hyperlink(paragraph, link(transcript, quote.start), locator(quote))
    paragraph.add_run(")")


def _hyperlink(paragraph: Any, target: str, text: str) -> None:
    """A link to another file: python-docx reads links but has no way of its own to write one."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import OxmlElement  # pyright: ignore[reportUnknownVariableType]
    from docx.oxml.ns import qn

    new = cast("Callable[[str], Any]", OxmlElement)  # pyright: ignore[reportUnknownArgumentType]
    hyperlink = new("w:hyperlink")
    relation = paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
    hyperlink.set(qn("r:id"), relation)
    run = new("w:r")
    properties = new("w:rPr")
    color = new("w:color")
    color.set(qn("w:val"), "1F4E8C")
    underline = new("w:u")
    underline.set(qn("w:val"), "single")
    properties.append(color)
    properties.append(underline)
    run.append(properties)
    words = new("w:t")
    words.text = text
    run.append(words)
    hyperlink.append(run)
    paragraph._p.append(hyperlink)  # noqa: SLF001  (the documented way to the paragraph's element)


def _fix_properties(document: Any, transcript: CallTranscript, title: str, writer: str) -> None:
    properties = document.core_properties
    date = datetime(transcript.fiscal_year, 3 * int(transcript.quarter[1]), 1)  # noqa: DTZ001  (the format wants it naive)
    properties.created = properties.modified = properties.last_printed = date
    properties.title = _clean(title)
    properties.author = properties.last_modified_by = f"aegis {writer}"
    properties.comments = ""
    properties.revision = 1


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(character for character in text if character >= " " or character in "\t\n")
