"""The end of a report in Word: its page of quality, and the passages that its quotes link to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aegis.reports.composition import quotes_of
from aegis.reports.passages import Passage, passages
from aegis.reports.places import span_locator
from aegis.reports.quality import tallies_of
from aegis.reports.word_styles import PASSAGE, QUOTED, SMALL, SOURCE
from aegis.reports.word_tables import table
from aegis.reports.word_xml import Bookmarks, clean, link_out, run, styled
from aegis.reports.wording import attribution, trust

if TYPE_CHECKING:
    from aegis.reports.composition import Composition
    from aegis.reports.model import CallTranscript, Quality, Quote, Tally
    from aegis.reports.places import Places


def bookmark_of(quote: Quote, call: str) -> str:
    """The name of a quote's bookmark: `call` is `c` for the report's own call, `p` for the previous one."""
    return f"{call}{quote.start}_{quote.end}"


def add_quality(document: Any, quality: Quality) -> None:
    """What a reader needs in order to trust the report or not."""
    lead = (
        "Every sentence of the call is counted once: it is quoted, or it is not for the first of these reasons that "
        "holds. The numbers add up to all sentences of the transcript."
    )
    document.add_paragraph(lead)
    table(document, (4.3, 2.2), ("Measure", "Value"), trust(quality))
    for title, tally, words in tallies_of(quality):
        _tally(document, title, tally, words)


def add_passages(document: Any, report: Composition, bookmarks: Bookmarks) -> None:
    """The quotes in their surroundings, in the order of the call: this one's, then the previous one's."""
    call = report.transcript
    lead = "The quotes, marked, with the sentence before and the one after, as the transcript has them."
    styled(document.add_paragraph(lead), SMALL)
    _Passages(document, call, report.here, "c", bookmarks).add(quotes_of(report.sections))
    if call.previous is not None and report.before is not None and report.refers_back:
        earlier = [quote.earlier for quote in quotes_of(report.sections) if quote.earlier is not None]
        earlier += [row.earlier.quote for row in report.figures if row.earlier is not None]
        styled(document.add_paragraph(f"Previous call, {call.previous.period}"), "Heading 2")
        _Passages(document, call.previous, report.before, "p", bookmarks).add(earlier)


class _Passages:
    """Writes the passages of one call."""

    def __init__(self, document: Any, call: CallTranscript, places: Places, letter: str, bookmarks: Bookmarks) -> None:
        self._document, self._call, self._places = document, call, places
        self._letter, self._bookmarks = letter, bookmarks

    def add(self, quotes: Iterable[Quote]) -> None:
        for passage in passages(quotes, self._call):
            head = styled(self._document.add_paragraph(), SOURCE)
            head.paragraph_format.left_indent = 0
            head.paragraph_format.space_after = 0
            head.paragraph_format.keep_with_next = True
            head.add_run(clean(f"{'; '.join(dict.fromkeys(attribution(quote) for quote in passage.quotes))}, "))
            link_out(
                head, self._places.link(passage.quotes[0].start), span_locator(self._call, passage.start, passage.end)
            )
            self._text(styled(self._document.add_paragraph(), PASSAGE), passage)

    def _text(self, paragraph: Any, passage: Passage) -> None:
        """The passage cut at the borders of its quotes: marked within, a bookmark where one begins."""
        borders = {passage.start, passage.end} | {at for quote in passage.quotes for at in (quote.start, quote.end)}
        ordered = sorted(borders)
        for start, end in pairwise(ordered):
            for quote in passage.quotes:
                if quote.start == start:
                    for part in self._bookmarks.around(bookmark_of(quote, self._letter)):
                        paragraph._p.append(part)  # noqa: SLF001
            quoted = any(quote.start <= start < quote.end for quote in passage.quotes)
            paragraph._p.append(run(self._call.text[start:end], QUOTED if quoted else None))  # noqa: SLF001


def _tally(document: Any, title: str, tally: Tally, words: Mapping[str, str]) -> None:
    rows: Sequence[tuple[str, str, str]] = [
        ("quoted", f"{tally.kept:,}", _percent(tally.kept, tally.considered)),
        *(
            (f"not quoted: {text}", f"{tally.dropped[key]:,}", _percent(tally.dropped[key], tally.considered))
            for key, text in words.items()
            if key in tally.dropped
        ),
        ("considered", f"{tally.considered:,}", "100 %" if tally.considered else ""),
    ]
    styled(document.add_paragraph(title), "Heading 2")
    made = table(document, (4.7, 0.9, 0.9), ("What became of them", "Number", "Share"), rows)
    for cell in made.rows[-1].cells:
        cell.paragraphs[0].runs[0].bold = True


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
