"""A report as a whole, before it is put into a form: the sections, and all that is read out of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.reports.change import beside_previous
from aegis.reports.figures import Figure, figures
from aegis.reports.located import located
from aegis.reports.places import Places
from aegis.reports.quality import assess

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript, Quality, Quote, Section
    from aegis.semantic import Embed


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What Markdown and Word are rendered from. `before` links into the previous call, where there is one."""

    sections: Sequence[Section]
    transcript: CallTranscript
    report_type: str
    writer: str
    figures: Sequence[Figure]
    quality: Quality
    here: Places
    before: Places | None

    @property
    def filled(self) -> list[Section]:
        """The sections that say something."""
        return [section for section in self.sections if section.blocks]

    @property
    def counted(self) -> bool:
        """Whether the questions of each theme are known of the previous call too."""
        return any(section.before is not None for section in self.sections)

    @property
    def refers_back(self) -> bool:
        """Whether anything in the report leads into the previous call."""
        return any(quote.earlier for quote in quotes_of(self.sections)) or any(row.earlier for row in self.figures)


def compose(
    sections: Sequence[Section],
    transcript: CallTranscript,
    report_type: str,
    *,
    writer: str,
    embed: Embed | None = None,
) -> Composition:
    """The report of a writer's sections: beside the previous call, with its figures, and counted.

    Raises `ValueError` where a quote is not verbatim in the transcript, or, where that names its speakers, said by more
    than one of them: of such sections no report is made.
    """
    for quote in quotes_of(sections):
        _check(quote, transcript)
    compared = [beside_previous(section, transcript, embed) for section in located(sections, transcript)]
    return Composition(
        sections=compared,
        transcript=transcript,
        report_type=report_type,
        writer=writer,
        figures=figures(compared, transcript),
        quality=assess(compared, transcript, report_type, embed),
        here=Places(transcript),
        before=Places(transcript.previous) if transcript.previous else None,
    )


def quotes_of(sections: Sequence[Section]) -> list[Quote]:
    """Every quote of this call in the order of the report, questions before their answers."""
    return [
        quote
        for section in sections
        for block in section.blocks
        for quote in ([block.question, *block.quotes] if block.question else block.quotes)
    ]


def _check(quote: Quote, transcript: CallTranscript) -> None:
    earlier, previous = quote.earlier, transcript.previous
    if transcript.text[quote.start : quote.end] != quote.text:
        msg = f"the quote at {quote.start} is not in this transcript; write the report's sections again"
        raise ValueError(msg)
    if earlier is not None and (previous is None or previous.text[earlier.start : earlier.end] != earlier.text):
        msg = f"the quote at {earlier.start} is not in the previous transcript; write the report's sections again"
        raise ValueError(msg)
