"""Guidance beside last quarter's: each statement with its counterpart in the bank's previous call.

A counterpart guides on the same measure or names it, and neither for another span of time (a year against a quarter)
nor for another year; among those it is the one of the nearest wording. It stands beside one statement only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse
from aegis.reports.guidance import MEASURES, guided_measure
from aegis.reports.likeness import likenesses
from aegis.reports.located import locate
from aegis.reports.salience import has_quantity
from aegis.reports.summary import GUIDANCE, quote_of

if TYPE_CHECKING:
    from aegis.reports.analysis import Candidate
    from aegis.reports.model import Block, CallTranscript, Quote, Section
    from aegis.semantic import Embed

_LEAST, _LEAST_VAGUE = 0.07, 0.2
"""The least likeness of a pair, and of one in which not both carry an amount: below, they share the measure's name."""
_LEAST_EMBEDDED = 0.45
"""The least likeness by embeddings, which find any two statements of one bank's outlook somewhat alike."""
_SAME_SPAN, _AMOUNTS = 0.15, 0.15
"""What both speaking of the same span, and both carrying an amount, add to the likeness."""
_DIGITS = 4
"""Likenesses are compared to so many digits: the last ones of an embedding depend on the machine."""

_SPANS: tuple[tuple[str, str], ...] = (
    ("half", r"\b(?:first|second|back|front) half\b|\b[12]h\b"),
    ("year", r"\bfull[- ]year\b|\bfor the year\b|\bthis year\b|\bnext year\b|\b20\d\d\b|\bfor the full\b|\bannual"),
    (
        "quarter",
        (
            r"\b(?:first|second|third|fourth|next|current|coming|this|each) quarter|\bq[1-4]\b|\b[1-4]q\b|"
            r"\bsequential|\blinked[- ]quarter"
        ),
    ),
    ("later", r"\b(?:medium|long(?:er)?)[- ]term\b|\bover time\b|\bthrough the cycle\b"),
)
_YEAR = re.compile(r"\b20\d\d\b")


def beside_previous(section: Section, transcript: CallTranscript, embed: Embed | None = None) -> Section:
    """The guidance section with its counterparts; any other, or without a previous call, as it is.

    It works on what any writer wrote: a statement's measure is read from its words, else from its block's label.
    """
    previous = transcript.previous
    if section.topic != GUIDANCE or previous is None:
        return section
    earlier = [(key, one) for key, found in analyse(previous).guidance.items() for one in found]
    earlier.sort(key=lambda pair: pair[1].utterance.sentence.start)
    background = [one.utterance.sentence.text for _, one in earlier]
    by_measure: dict[str, list[tuple[int, int]]] = {}
    for row, block in enumerate(section.blocks):
        for column, quote in enumerate(block.quotes):
            by_measure.setdefault(_measure(block, quote), []).append((row, column))
    found: dict[tuple[int, int], Candidate] = {}
    for measure, places in by_measure.items():
        texts = [section.blocks[row].quotes[column].text for row, column in places]
        candidates = [one for key, one in earlier if key == measure or _names(measure, one.utterance.sentence.text)]
        pairs = _pairs(texts, candidates, background, embed)
        found |= {places[index]: candidate for index, candidate in pairs.items()}
    blocks = [
        block.model_copy(
            update={
                "quotes": [
                    quote.model_copy(update={"earlier": locate(quote_of(found[row, column].utterance), previous)})
                    if (row, column) in found
                    else quote
                    for column, quote in enumerate(block.quotes)
                ]
            }
        )
        for row, block in enumerate(section.blocks)
    ]
    return section.model_copy(update={"blocks": blocks})


def span_of(statement: str) -> str | None:
    """For what span a statement speaks: `quarter`, `half`, `year`, `later`; None where it does not say."""
    text = statement.lower()
    found = [(match.start(), span) for span, pattern in _SPANS if (match := re.search(pattern, text))]
    return min(found)[1] if found else None


def _names(measure: str, statement: str) -> bool:
    """Whether a statement that guides on something else names a measure too."""
    pattern = dict(MEASURES).get(measure)
    return pattern is not None and re.search(pattern, statement, re.IGNORECASE) is not None


def _measure(block: Block, quote: Quote) -> str:
    return guided_measure(quote.text, prepared=quote.part == "prepared") or block.label


def _pairs(
    texts: Sequence[str], candidates: Sequence[Candidate], background: Sequence[str], embed: Embed | None
) -> dict[int, Candidate]:
    """For the statements of one measure their counterparts, the nearest pair first and each used once."""
    others = [candidate.utterance.sentence.text for candidate in candidates]
    rated: list[tuple[float, int, int]] = []
    least, least_vague = (_LEAST, _LEAST_VAGUE) if embed is None else (_LEAST_EMBEDDED, _LEAST_EMBEDDED)
    for index, row in enumerate(likenesses(texts, others, background, embed)):
        for at, likeness in enumerate(row):
            one, other = texts[index], others[at]
            amounts = has_quantity(one) and has_quantity(other)
            if round(likeness, _DIGITS) < (least if amounts else least_vague) or not _comparable(one, other):
                continue
            same = span_of(one) is not None and span_of(one) == span_of(other)
            rated.append((-round(likeness + _SAME_SPAN * same + _AMOUNTS * amounts, _DIGITS), index, at))
    pairs: dict[int, Candidate] = {}
    taken: set[int] = set()
    for _, index, at in sorted(rated):
        if index not in pairs and at not in taken:
            pairs[index] = candidates[at]
            taken.add(at)
    return pairs


def _comparable(one: str, other: str) -> bool:
    """Not of two spans, and not of two years."""
    spans = span_of(one), span_of(other)
    if None not in spans and spans[0] != spans[1]:
        return False
    years = set(_YEAR.findall(one)), set(_YEAR.findall(other))
    return not (years[0] and years[1] and years[0].isdisjoint(years[1]))
