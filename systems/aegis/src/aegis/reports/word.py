"""A report as a Word document whose bytes depend on nothing but its content.

It stands by itself: every quote links to its passage at the end of the document, and from there to the transcript's
page, which may have stayed behind when the document was handed on.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aegis.reports.places import locator
from aegis.reports.summary import GUIDANCE
from aegis.reports.word_appendix import add_passages, add_quality, bookmark_of
from aegis.reports.word_styles import (
    BESIDE,
    CELL,
    EARLIER,
    NOTICE,
    QUESTION,
    QUOTE,
    SMALL,
    SOURCE,
    SOURCE_BESIDE,
    set_page,
    set_styles,
)
from aegis.reports.word_tables import facts, group, paragraph_in, table
from aegis.reports.word_xml import Bookmarks, clean, contents, link_to, repacked, styled
from aegis.reports.wording import (
    COUNTED_THEMES,
    EMPTY,
    FIGURES,
    NO_ANSWER,
    NO_COUNTERPART,
    NOTHING,
    PASSAGES,
    QUALITY,
    asker,
    compared_with,
    counted,
    notices,
    place_of,
    provenance,
    share,
    shown,
    speaker,
    speakers,
)

if TYPE_CHECKING:
    from aegis.reports.composition import Composition
    from aegis.reports.figures import Cell, Figure
    from aegis.reports.model import CallTranscript, Quote, Section
    from aegis.reports.word_tables import Fill


def render_word(report: Composition) -> bytes:
    """The document. Its dates are the first day of the quarter's last month, since a report has no time of its own."""
    from docx import Document

    call = report.transcript
    document = Document()
    set_styles(document)
    title = f"{call.bank_name} ({call.bank_symbol})"
    set_page(
        document,
        title,
        f"{report.report_type}, {call.period}",
        f"Verbatim from the transcript with SHA-256 {call.sha256[:12]}…",
    )
    _Body(document, report).write(title)
    _fix_properties(document, call, f"{title}: {report.report_type}, {call.period}", report.writer)
    buffer = io.BytesIO()
    document.save(buffer)
    return repacked(buffer.getvalue())


class _Body:
    """Writes the parts of a report into a document, one after the other."""

    def __init__(self, document: Any, report: Composition) -> None:
        self._document, self._report, self._call = document, report, report.transcript
        self._bookmarks = Bookmarks()
        self._entries: list[tuple[str, str, str]] = []

    def write(self, title: str) -> None:
        """All of it. The contents are put in last, where they belong, once the headings are known."""
        before = self._head(title)
        if not self._report.filled:
            self._document.add_paragraph(NOTHING.get(self._report.report_type, "Nothing was found."))
        if self._report.figures:
            self._heading(FIGURES, counted(len(self._report.figures), "figure"), new_page=True)
            self._figures()
        if self._report.counted and self._report.filled:
            self._heading(COUNTED_THEMES, "", new_page=True)
            self._themes()
        for section in self._report.filled:
            quotes = sum(len(block.quotes) for block in section.blocks)
            questions = sum(block.question is not None for block in section.blocks)
            self._heading(section.title, counted(questions, "question") if questions else counted(quotes, "statement"))
            self._section(section)
        self._heading(QUALITY, "", new_page=True)
        add_quality(self._document, self._report.quality)
        if self._report.filled:
            self._heading(PASSAGES, "", new_page=True)
            add_passages(self._document, self._report, self._bookmarks)
        before._p.addnext(contents(self._entries))  # noqa: SLF001

    def _head(self, title: str) -> Any:
        """The title block and the notices; gives the paragraph after which the contents come."""
        document, report, call = self._document, self._report, self._call
        quality = report.quality
        styled(document.add_paragraph(clean(title)), "Title")
        styled(document.add_paragraph(f"{report.report_type}, {call.period} earnings call"), "Subtitle")
        facts(
            document,
            [
                ("Compared with", compared_with(call)),
                ("Quoted", f"{share(quality.statements.kept, quality.statements.considered)} statements of the call"),
                ("Speakers", speakers(quality)),
                ("Writer", report.writer),
                ("Transcript", f"{quality.words:,} words, SHA-256 {call.sha256}"),
            ],
        )
        styled(document.add_paragraph(), SMALL)
        for notice in notices(call):
            paragraph = styled(document.add_paragraph(), NOTICE)
            paragraph.add_run("Notice. ").bold = True
            paragraph.add_run(clean(notice))
        return styled(document.add_paragraph(provenance(report.writer, speakers_known=bool(call.speeches))), SMALL)

    def _heading(self, text: str, note: str, *, new_page: bool = False) -> None:
        """A heading of the first level, which the contents name."""
        paragraph = styled(self._document.add_paragraph(), "Heading 1")
        paragraph.paragraph_format.page_break_before = new_page
        paragraph.add_run(clean(text))
        name = f"_Toc{len(self._entries) + 1:08d}"
        runs = [child for child in paragraph._p if child.tag.endswith("}r")]  # noqa: SLF001
        for part in self._bookmarks.around(name, *runs):
            paragraph._p.append(part)  # noqa: SLF001
        self._entries.append((text, name, note))

    def _figures(self) -> None:
        call = self._call
        rows: list[list[str | Fill]] = []
        groups: list[tuple[int, str]] = []
        for figure in self._report.figures:
            if not groups or groups[-1][1] != figure.topic:
                groups.append((len(rows) + 1, figure.topic))
                rows.append(["", "", "", ""])
            rows.append(self._figure(figure))
        head = ("Figure", call.period, "Change, as said on the call", call.period_before)
        made = table(self._document, (2.1, 1.2, 2.2, 1.0), head, rows)
        for at, topic in groups:
            group(made, at, topic)
        note = "Each figure is word for word from the quote that it links to. An empty cell: the quote does not say it."
        styled(self._document.add_paragraph(note), SMALL)

    def _figure(self, figure: Figure) -> list[str | Fill]:
        return [
            figure.label,
            self._cell(figure.level, "c"),
            self._cell(figure.change, "c"),
            self._cell(figure.earlier, "p"),
        ]

    def _cell(self, cell: Cell | None, call: str) -> str | Fill:
        if cell is None:
            return EMPTY
        found = cell

        def fill(into: Any) -> None:
            link_to(paragraph_in(into, CELL), bookmark_of(found.quote, call), found.text)

        return fill

    def _themes(self) -> None:
        rows = [
            (section.title, str(section.kept), EMPTY if section.before is None else str(section.before))
            for section in self._report.sections
            if section.kept or section.before
        ]
        table(self._document, (4.1, 1.2, 1.2), ("Theme", self._call.period, self._call.period_before), rows)
        note = "Questions that analysts asked on each theme in the two calls; themes without any in both are left out."
        styled(self._document.add_paragraph(note), SMALL)

    def _section(self, section: Section) -> None:
        if section.topic == GUIDANCE and self._report.before is not None:
            self._beside(section)
            return
        for block in section.blocks:
            if block.question is not None:
                styled(self._document.add_paragraph(clean(asker(block))), "Heading 2")
                self._quote(self._document, block.question, QUESTION)
                for quote in block.quotes:
                    self._quote(self._document, quote, QUOTE)
                if not block.quotes:
                    styled(self._document.add_paragraph(NO_ANSWER), SOURCE)
                continue
            styled(self._document.add_paragraph(clean(block.label)), "Heading 2")
            for quote in block.quotes:
                self._quote(self._document, quote, QUOTE)

    def _beside(self, section: Section) -> None:
        """Guidance: this call's statement at the left, the previous call's at the right."""
        rows: list[list[str | Fill]] = [
            [block.label, self._said(quote), self._said_before(quote)]
            for block in section.blocks
            for quote in block.quotes
        ]
        head = ("Measure", self._call.period, f"Last quarter, {self._call.period_before}")
        table(self._document, (1.0, 2.75, 2.75), head, rows)
        styled(self._document.add_paragraph(), SMALL)

    def _said(self, quote: Quote) -> Fill:
        return lambda cell: self._quote(cell, quote, BESIDE)

    def _said_before(self, quote: Quote) -> Fill:
        def fill(cell: Any) -> None:
            if quote.earlier is None:
                paragraph_in(cell, EARLIER).add_run(f"{NO_COUNTERPART[:1].upper()}{NO_COUNTERPART[1:]}.").italic = True
            else:
                self._quote(cell, quote.earlier, EARLIER, call="p")

        return fill

    def _quote(self, into: Any, quote: Quote, style: str, *, call: str = "c") -> None:
        """A quote set apart, and below it who says it and where, with the link to its passage."""
        in_cell = hasattr(into, "_tc")
        paragraph = paragraph_in(into, style) if in_cell else styled(into.add_paragraph(), style)
        paragraph.add_run(f"“{clean(shown(quote))}”")
        source = styled(into.add_paragraph(), SOURCE_BESIDE if in_cell else SOURCE)
        said = "" if style == QUESTION else f"{speaker(quote)}, "
        source.add_run(clean(f"{said}{place_of(quote)}, "))
        link_to(source, bookmark_of(quote, call), locator(quote))


def _fix_properties(document: Any, transcript: CallTranscript, title: str, writer: str) -> None:
    properties = document.core_properties
    date = datetime(transcript.fiscal_year, 3 * int(transcript.quarter[1]), 1)  # noqa: DTZ001  (the format wants it naive)
    properties.created = properties.modified = properties.last_printed = date
    properties.title = clean(title)
    properties.author = properties.last_modified_by = f"aegis {writer}"
    properties.comments = ""
    properties.revision = 1
