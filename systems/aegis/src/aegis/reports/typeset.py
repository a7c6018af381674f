"""Putting a report on disk: Word, Markdown, and the transcript's page that both link to."""

from __future__ import annotations

import os
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.reports.composition import compose
from aegis.reports.markdown import render_markdown
from aegis.reports.model import Draft
from aegis.reports.page import render_page
from aegis.reports.places import page_name, stem_of
from aegis.reports.word import render_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aegis.reports.model import CallTranscript, Section
    from aegis.semantic import Embed


def typeset(
    sections: Sequence[Section],
    transcript: CallTranscript,
    report_type: str,
    to: Path,
    *,
    writer: str = "extractive",
    cost_usd: Decimal = Decimal(0),
    embed: Embed | None = None,
) -> Draft:
    """Writes the report into the folder `to` (made where missing) and says what was written.

    Where the transcript has a previous one, guidance stands beside what was said then, matched by `embed` where it is
    given. Each file appears whole or not at all, the pages that the others link to first. Writing the same again gives
    the same bytes. Raises `ValueError` where a quote is not verbatim in its transcript: such a report is never written.
    """
    report = compose(sections, transcript, report_type, writer=writer, embed=embed)
    to.mkdir(parents=True, exist_ok=True)
    stem = f"{stem_of(transcript)}_{report_type.lower().replace(' ', '_')}"
    docx, markdown = to / f"{stem}.docx", to / f"{stem}.md"
    for call in (transcript.previous if report.refers_back else None, transcript):
        if call is not None:
            _replace(to / page_name(call), render_page(call).encode())
    _replace(docx, render_word(report))
    _replace(markdown, render_markdown(report).encode())
    return Draft(
        docx=docx,
        markdown=markdown,
        source_version=transcript.sha256,
        writer=writer,
        cost_usd=cost_usd,
        notice=transcript.notice,
        quality=report.quality,
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
