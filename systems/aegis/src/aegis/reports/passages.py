"""The surroundings of quotes: each with the sentence before and the one after, where they overlap in one passage.

No passage goes from one speech to the next, where the transcript names its speakers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse
from aegis.reports.places import speech_at

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript, Quote

_LONG = 900
"""Characters from which on a passage takes in no further quote, unless they overlap."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """`transcript.text[start:end]`, and the quotes in it: ordered, and none within another."""

    start: int
    end: int
    quotes: tuple[Quote, ...]


def passages(quotes: Iterable[Quote], transcript: CallTranscript) -> list[Passage]:
    """The passages in the order of the transcript; every quote is in exactly one of them."""
    utterances = analyse(transcript).utterances
    starts = [utterance.sentence.start for utterance in utterances]
    found: list[Passage] = []
    for quote in sorted({(one.start, one.end): one for one in quotes}.values(), key=lambda one: (one.start, -one.end)):
        first = max(0, bisect_right(starts, quote.start) - 2)
        last = min(len(utterances) - 1, bisect_right(starts, max(quote.start, quote.end - 1)))
        start = min(quote.start, starts[first]) if utterances else quote.start
        end = max(quote.end, utterances[last].sentence.end) if utterances else quote.end
        speech = speech_at(transcript, quote.start)
        if speech is not None:  # where speakers are known, no passage goes on with another one's words
            start, end = max(start, speech.start), min(end, speech.end)
        before = found[-1] if found else None
        if (
            before is not None
            and start < before.end
            and quote.start >= before.end
            and before.end - before.start > _LONG
        ):
            # Long enough: the next one begins where this one ends.
            start = before.end
        if before is not None and start < before.end:
            found[-1] = Passage(start=before.start, end=max(end, before.end), quotes=(*before.quotes, quote))
        else:
            found.append(Passage(start=start, end=end, quotes=(quote,)))
    return found
