"""Who speaks each sentence: the operator, an analyst or management.

Prepared remarks are management's. Each exchange (from one hand-off to the next) is decided by a two-state Viterbi
over cues in the sentences: an analyst opens it, and either side may speak several times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from aegis.transcripts.handoffs import Handoff, find_handoffs

if TYPE_CHECKING:
    from aegis.reports.model import Part
    from aegis.reports.sentences import Sentence

Role = Literal["operator", "analyst", "management"]

_STAY = -0.073  # ln .93
_SWITCH = -2.66  # ln .07
_ANSWERED = -0.51  # ln .60: an analyst's question mark is mostly followed by the answer
_ASKS_ON = -0.92  # ln .40
_LONG = 150  # characters: who speaks on without asking is more likely management
_REMARKS = 20  # sentences: fewer before the first hand-off are no remarks
_OPENS = 3.0  # log-odds that an exchange's first sentence is the analyst's

# Cues and the log-odds they give the analyst; negative for management. From reading, not fitted.
_CUES: tuple[tuple[str, float], ...] = (
    (r"\?$", 1.6),
    (r"\b(?:right|correct|okay)\?$", -1.0),
    (r"\b(?:tak\w+|ask\w*) (?:my|the|our|a)(?: \w+)? ?(?:questions?|call)", 2.5),
    (r"\bmy (?:first|second|third|next|last|final|other|follow|question|only|quick)", 2.5),
    (
        (
            r"\b(?:wondering|curious|(?:wanted|want|like|love|hoping|hop(?:e|ing)) to (?:ask|follow|touch|"
            r"get|clarify|dig|circle|go back|start|drill|hear|understand|see if|revisit|pick)|hoping you)"
        ),
        1.8,
    ),
    (
        (
            r"\b(?:can|could|would|will|did|have|are|were|do) (?:you|we|i) (?:guys |just |please |maybe |"
            r"also |still )?(?:\w+)"
        ),
        0.9,
    ),
    (r"\b(?:can|could) you\b", 1.2),
    (r"\bhow (?:should|do|are|would|much|does|might|will|has|can|big|long) ", 0.9),
    (r"\bwhat (?:are|is|do|would|does|kind|gives|drives|has|should|were|was)\b", 0.6),
    (r"\b(?:any|some|more|additional) (?:color|thoughts|sense|update|detail|perspective|guidance|commentary)", 1.2),
    (r"\b(?:help|give|walk|remind|tell|update) (?:us|me)\b", 1.3),
    (
        (
            r"\byou(?:['’]ve)? (?:guys|mentioned|said|noted|talked|guided|called|highlighted|spoke|"
            r"referenced|laid|alluded|indicated|touched|gave)"
        ),
        1.5,
    ),
    (
        (
            r"\byour (?:guid|prepared|comment|outlook|nii|net|margin|capital|expense|view|thought|slide|"
            r"remark|target|appetite|expectation|cet|loan|deposit|reserve|buyback|fee)"
        ),
        1.2,
    ),
    (
        (
            r"\b(?:follow[- ]?up|got it|fair enough|makes sense|very helpful|super helpful|that['’]s "
            r"helpful|great color|helpful\b|understood|all (?:right|set))"
        ),
        1.5,
    ),
    (r"^(?:and )?(?:just|i guess|maybe|and then|then|separately|secondly|second|switching|one|also|okay)\b", 0.7),
    (r"\bthanks?(?: you)?(?: so much| very much)?[.!]?$", 0.8),
    (r"\bfor (?:the|that) (?:color|answer|detail|update|time)", 1.6),
    (r"\b(?:thank(?:s| you)) for (?:the|that|your|asking)(?: \w+)? question", -3.0),
    (r"\b(?:good|great|fair|excellent|your|the) (?:first |second |other )?question\b", -1.4),
    (
        (
            r"\bwe(?:['’](?:re|ve|ll|d)| (?:are|were|have|had|think|feel|expect|continue|believe|see|saw|"
            r"do|don['’]t|did|will|would|can|could|still|also|really|just|look|know|want|need|get|got|"
            r"grew|made|said|talked))\b"
        ),
        -1.0,
    ),
    (r"\bour\b", -0.9),
    (r"\bus\b", -0.2),
    (r"^(?:sure|yeah|yes|yep|so|no|well|absolutely|look|listen|hey|exactly|correct|again|you know)\b", -0.7),
    (r"\bi(?:['’]d| would) (?:say|add|just|tell|point|remind|note|characterize)", -1.4),
    (r"\bi (?:think|mean|don['’]t think)\b", -0.4),
    (
        (
            r"\b(?:as (?:i|we) (?:said|mentioned|noted|talked|indicated)|in my (?:prepared|opening)|"
            r"i(?:['’]ll| will) (?:let|ask|turn|start|take|hand))"
        ),
        -1.6,
    ),
    (r"\byou know,", -0.3),
    (r"\b(?:clients|customers|teammates|colleagues|bankers|franchise)\b", -0.4),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """A sentence with its speaker. `exchange` is -1 in prepared remarks, else the index of the exchange."""

    sentence: Sentence
    role: Role
    part: Part
    exchange: int
    speaker: str
    inferred: bool


@cache
def _cues() -> tuple[tuple[re.Pattern[str], float], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), weight) for pattern, weight in _CUES)


def analyst_odds(sentence: str) -> float:
    """The log-odds that a sentence of an exchange is the analyst's, from its cues alone."""
    odds = sum(weight for pattern, weight in _cues() if pattern.search(sentence))
    return odds - 0.3 if len(sentence) > _LONG and not sentence.endswith("?") else odds


def viterbi(odds: list[float], asks: list[bool]) -> list[bool]:
    """For each sentence of an exchange, whether the analyst speaks it: the most likely sequence.

    `odds` are the sentences' log-odds for the analyst; `asks` whether each ends with a question mark.
    """
    if not odds:
        return []
    best = (_OPENS + odds[0] / 2, -odds[0] / 2)  # (analyst, management)
    came_from: list[tuple[bool, bool]] = []
    for index in range(1, len(odds)):
        leave, stay = (_ANSWERED, _ASKS_ON) if asks[index - 1] else (_SWITCH, _STAY)
        to_analyst = (best[0] + stay, best[1] + _SWITCH)
        to_management = (best[0] + leave, best[1] + _STAY)
        came_from.append((to_analyst[0] >= to_analyst[1], to_management[0] > to_management[1]))
        best = (max(to_analyst) + odds[index] / 2, max(to_management) - odds[index] / 2)
    analyst = best[0] > best[1]
    sequence = [analyst]
    for from_analyst in reversed(came_from):
        analyst = from_analyst[0] if analyst else from_analyst[1]
        sequence.append(analyst)
    return sequence[::-1]


def opening_is_prepared(sentences: list[Sentence]) -> bool:
    """Whether what comes before the first hand-off is prepared remarks, not the rest of an exchange in a cut file."""
    asked = sum(sentence.text.endswith("?") for sentence in sentences)
    return len(sentences) >= _REMARKS and asked <= max(2, len(sentences) // 40)


def assign_turns(sentences: list[Sentence], handoffs: list[Handoff]) -> list[Utterance]:
    """Every sentence with its speaker, in order. The operator's hand-offs are sentences of their own."""
    from aegis.reports.speakers import infer_speakers

    first = handoffs[0].start if handoffs else sentences[-1].end + 1 if sentences else 0
    before = [sentence for sentence in sentences if sentence.start < first]
    utterances: list[Utterance] = []
    if opening_is_prepared(before) or not handoffs:
        for sentence, speaker in zip(before, infer_speakers(before), strict=True):
            utterances.append(
                Utterance(
                    sentence=sentence,
                    role="management",
                    part="prepared",
                    exchange=-1,
                    speaker=speaker or "Management",
                    inferred=speaker is not None,
                )
            )
    else:
        utterances += _exchange(before, -1)
    rest = sentences[len(before) :]
    ends = [*(handoff.start for handoff in handoffs[1:]), 10**12][: len(handoffs)]
    position = 0
    for index, (handoff, end) in enumerate(zip(handoffs, ends, strict=True)):
        members: list[Sentence] = []
        while position < len(rest) and rest[position].start < end:
            sentence = rest[position]
            position += 1
            if sentence.start < handoff.end:
                utterances.append(_utterance(sentence, "operator", index))
            else:
                members.append(sentence)
        utterances += _exchange(members, index)
    return utterances


def _exchange(sentences: list[Sentence], index: int) -> list[Utterance]:
    odds = [analyst_odds(sentence.text) for sentence in sentences]
    asks = [sentence.text.endswith("?") for sentence in sentences]
    roles = viterbi(odds, asks)
    return [
        _utterance(sentence, "analyst" if analyst else "management", index)
        for sentence, analyst in zip(sentences, roles, strict=True)
    ]


def _utterance(sentence: Sentence, role: Role, exchange: int) -> Utterance:
    speaker = {"operator": "Operator", "analyst": "Analyst", "management": "Management"}[role]
    return Utterance(sentence=sentence, role=role, part="q_and_a", exchange=exchange, speaker=speaker, inferred=False)


__all__ = ["Handoff", "Role", "Utterance", "analyst_odds", "assign_turns", "find_handoffs", "viterbi"]
