"""The sections of a Call Summary: guidance first, then each topic with one best sentence a sub-slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.reports.guidance import MEASURES
from aegis.reports.lexicon import lowered, topics
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
    free = [candidate for candidate in considered if id(candidate) not in guided and candidate.salience >= _LEAST]
    free.sort(key=lambda candidate: -candidate.salience)
    blocks: list[Block] = []
    for label, pattern in topic.slots:
        best = next((one for one in free if pattern.search(lowered(one.utterance.sentence.text))), None)
        if best is not None:
            free.remove(best)
            blocks.append(Block(label=label, quotes=[quote_of(best.utterance)]))
    return _section(key, topic.title, blocks, len(considered))


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
