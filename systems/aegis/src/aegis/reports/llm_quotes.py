"""Whether what a language model calls a quote is one: found character by character, and said by who is said to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.reports.boilerplate import is_boilerplate
from aegis.reports.model import Quote, Refusal, RefusedQuote
from aegis.reports.salience import SHORTEST
from aegis.reports.sentences import LONGEST

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis
    from aegis.reports.turns import Role, Utterance

LONGEST_QUESTION = 85
"""Words of a question; an answer has at most as many as a sentence."""
LEAST_QUESTION = 4
WHY: dict[Refusal, str] = {
    "not_verbatim": "these very characters are not in the text you were given",
    "other_speaker": "it is not said by one person of the side that was asked for",
    "question": "management's words are statements, without a question mark",
    "length": f"it has fewer than {SHORTEST} or more than {LONGEST} words",
    "boilerplate": "it is a courtesy, a disclaimer or a pointer to a slide",
    "label": "its label is none of those that were given",
}
"""What a model is told about a refused quote."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of the transcript: `text[start:end]`."""

    start: int
    end: int


class Judge:
    """Accepts quotes out of some parts of one transcript.

    Args:
        text: The transcript.
        analysis: Its reading: who speaks where.
        within: The parts that the model was given.
    """

    def __init__(self, text: str, analysis: Analysis, within: Sequence[Span]) -> None:
        self._text, self._analysis, self._within = text, analysis, within

    def statement(self, quote: str) -> Quote | RefusedQuote:
        """Management's words."""
        words = quote.count(" ") + 1
        if "?" in quote:
            return RefusedQuote(text=quote, reason="question")
        if not SHORTEST <= words <= LONGEST:
            return RefusedQuote(text=quote, reason="length")
        return self._located(quote, "management")

    def question(self, quote: str) -> Quote | RefusedQuote:
        """An analyst's words."""
        if not LEAST_QUESTION <= quote.count(" ") + 1 <= LONGEST_QUESTION:
            return RefusedQuote(text=quote, reason="length")
        return self._located(quote, "analyst")

    def _located(self, quote: str, role: Role) -> Quote | RefusedQuote:
        """The first place where this side says it."""
        found = False
        for start in self._places(quote):
            found = True
            spoken = self._spoken(start, start + len(quote))
            if not spoken or any(one.role != role or one.speaker != spoken[0].speaker for one in spoken):
                continue
            if role == "management" and all(is_boilerplate(one.sentence.text) for one in spoken):
                return RefusedQuote(text=quote, reason="boilerplate")
            return Quote(
                text=quote,
                start=start,
                end=start + len(quote),
                speaker=spoken[0].speaker,
                speaker_inferred=spoken[0].inferred,
                part=spoken[0].part,
            )
        return RefusedQuote(text=quote, reason="other_speaker" if found else "not_verbatim")

    def _places(self, quote: str) -> Iterator[int]:
        if not quote or quote != quote.strip():
            return
        for span in self._within:
            at = self._text.find(quote, span.start, span.end)
            while at >= 0:
                yield at
                at = self._text.find(quote, at + 1, span.end)

    def _spoken(self, start: int, end: int) -> list[Utterance]:
        return [one for one in self._analysis.utterances if one.sentence.start < end and one.sentence.end > start]
