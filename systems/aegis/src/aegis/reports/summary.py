"""The sections of a Call Summary: guidance first, then each topic with one best sentence a sub-slot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aegis.reports.guidance import MEASURES
from aegis.reports.lexicon import Topic, claim_of, effect_of, lowered, topics
from aegis.reports.model import Block, Quote, Section
from aegis.reports.salience import has_quantity

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis, Candidate
    from aegis.reports.turns import Utterance

GUIDANCE = "guidance"
_A_MEASURE = 2
"""Statements of guidance quoted for one measure: mostly the year's and the next quarter's."""
_LEAST = 2.6
"""The least salience of a quote: a number, or a change said in the prepared remarks."""
_LEAST_WITHOUT_AMOUNT = 3.4
_NAMED = 1.6
_SUBJECT = 0.6
_SUBJECT_WORDS = 6
_ONLY_A_REASON = 1.8
_FORWARD = 1.2
_FIRST = 1.0
"""Calls tell of the whole company before its segments."""
# What is to come is in the guidance; a topic's slots are for what was.
_TO_COME = re.compile(
    r"\b(?:we (?:now |continue to |still |currently )?(?:expect|anticipate|project)|will|guidance|outlook|"
    r"is expected|are expected|medium[- ]term|should)\b"
)


def summary_topics() -> list[str]:
    """The keys of the sections in their order."""
    return [GUIDANCE, *topics()]


def quote_of(utterance: Utterance) -> Quote:
    """An utterance as a quote."""
    sentence = utterance.sentence
    return Quote(
        text=sentence.text,
        start=sentence.start,
        end=sentence.end,
        speaker=utterance.speaker,
        speaker_inferred=utterance.inferred,
        part=utterance.part,
    )


def summary_section(analysis: Analysis, key: str) -> Section:
    """One section. Raises `KeyError` for a topic that is none of `summary_topics()`."""
    if key == GUIDANCE:
        return _guidance_section(analysis)
    topic = topics()[key]
    guided = {id(candidate) for _, chosen in _guidance(analysis) for candidate in chosen}
    considered = [candidate for candidate in analysis.candidates if candidate.topic == key]
    free = [
        candidate
        for candidate in considered
        if id(candidate) not in guided
        and worth_quoting(candidate)
        and topic.score(effect_of(_text(candidate))) >= topic.least
    ]
    blocks: list[Block] = []
    told: list[str] = []
    for label, pattern in topic.slots:
        # One sentence may tell several slots: "earnings per share of $1.90 and a return on equity of 13%".
        named = topic.named.get(label)
        if any(named.search(text) if named else pattern.search(claim_of(text)) for text in told):
            continue
        rated = [(slot_rating(one, topic, label), one) for one in free if pattern.search(effect_of(_text(one)))]
        if not rated:
            continue
        rating, best = max(rated, key=lambda pair: pair[0])  # the first in the text of equal ones
        if rating < _LEAST:
            continue
        free.remove(best)
        told.append(_text(best))
        blocks.append(Block(label=label, quotes=[quote_of(best.utterance)]))
    return _section(key, topic.title, blocks, len(considered))


def worth_quoting(candidate: Candidate) -> bool:
    """Whether a sentence tells enough: one without an amount must be well said."""
    least = _LEAST if has_quantity(candidate.utterance.sentence.text) else _LEAST_WITHOUT_AMOUNT
    return candidate.salience >= least


def slot_rating(candidate: Candidate, topic: Topic, label: str) -> float:
    """How well a sentence tells a slot: its salience, and whether the slot is its subject rather than a reason."""
    text = _text(candidate)
    claim = claim_of(text)
    pattern = dict(topic.slots)[label]
    rating = candidate.salience
    named = topic.named.get(label)
    if named is not None and named.search(claim):
        rating += _NAMED
    place = pattern.search(claim)
    if place is None:
        rating -= _ONLY_A_REASON
    elif claim.count(" ", 0, place.start()) <= _SUBJECT_WORDS:
        rating += _SUBJECT
    if _TO_COME.search(text):
        rating -= _FORWARD
    rating += _FIRST * (1.0 - candidate.position)
    return rating


def _text(candidate: Candidate) -> str:
    return lowered(candidate.utterance.sentence.text)


def _guidance_section(analysis: Analysis) -> Section:
    considered = sum(len(statements) for statements in analysis.guidance.values())
    blocks = [
        Block(label=label, quotes=[quote_of(candidate.utterance) for candidate in chosen])
        for label, chosen in _guidance(analysis)
    ]
    return _section(GUIDANCE, "Guidance", blocks, considered)


def _guidance(analysis: Analysis) -> list[tuple[str, list[Candidate]]]:
    """By measure, in the order of the measures, the statements to quote: those with an amount, else the best one."""
    chosen: list[tuple[str, list[Candidate]]] = []
    for label, _ in MEASURES:
        statements = analysis.guidance.get(label, [])
        amounts = [one for one in statements if has_quantity(one.utterance.sentence.text)]
        picked = amounts[:_A_MEASURE] or statements[:1]
        picked = [one for one in picked if one.salience > 0]
        if picked:
            chosen.append((label, sorted(picked, key=lambda one: one.utterance.sentence.start)))
    return chosen


def _section(key: str, title: str, blocks: list[Block], considered: int) -> Section:
    kept = sum(len(block.quotes) for block in blocks)
    return Section(
        report_type="Call Summary",
        topic=key,
        title=title,
        blocks=blocks,
        considered=considered,
        kept=kept,
        dropped=considered - kept,
    )
