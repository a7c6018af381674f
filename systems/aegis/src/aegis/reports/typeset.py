"""Putting a report on disk: Word, Markdown, and the transcript's page that both link to."""

from __future__ import annotations

import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse
from aegis.reports.located import located
from aegis.reports.markdown import render_markdown
from aegis.reports.model import Draft
from aegis.reports.page import page_name, render_page, stem_of
from aegis.reports.word import render_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aegis.reports.model import CallTranscript, Section


def typeset(
    sections: Sequence[Section],
    transcript: CallTranscript,
    report_type: str,
    to: Path,
    *,
    writer: str = "extractive",
    cost_usd: Decimal = Decimal(0),
) -> Draft:
    """Writes the report into the folder `to` (made where missing) and says what was written.

    Each file appears whole or not at all, the page that the others link to first. Writing the same again gives the
    same bytes. Raises `ValueError` where a quote is not verbatim in the transcript: such a report is never written.
    """
    quotes = [
        quote
        for section in sections
        for block in section.blocks
        for quote in ([block.question, *block.quotes] if block.question else block.quotes)
    ]
    for quote in quotes:
        if transcript.text[quote.start : quote.end] != quote.text:
            msg = f"the quote at {quote.start} is not in this transcript; write the report's sections again"
            raise ValueError(msg)
    sections = located(sections, transcript)
    to.mkdir(parents=True, exist_ok=True)
    stem = f"{stem_of(transcript)}_{report_type.lower().replace(' ', '_')}"
    docx, markdown = to / f"{stem}.docx", to / f"{stem}.md"
    page = render_page(transcript, analyse(transcript), (quote.start for quote in quotes))
    _replace(to / page_name(transcript), page.encode())
    _replace(docx, render_word(sections, transcript, report_type, writer))
    _replace(markdown, render_markdown(sections, transcript, report_type, writer).encode())
    return Draft(
        docx=docx,
        markdown=markdown,
        source_version=transcript.sha256,
        writer=writer,
        cost_usd=cost_usd,
        notice=transcript.notice,
    )


def _replace(path: Path, data: bytes) -> None:
    """Writes a file beside its place and renames it: a reader sees the old one or the new one."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
