"""Who speaks each sentence: the operator, an analyst or management.

Prepared remarks are management's. Each exchange (from one hand-off to the next) is decided by a two-state Viterbi
over cues in the sentences: an analyst opens it, and either side may speak several times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aegis.reports.cues import analyst_odds
from aegis.transcripts.handoffs import Handoff, find_handoffs

if TYPE_CHECKING:
    from aegis.reports.model import Part
    from aegis.reports.sentences import Sentence

Role = Literal["operator", "analyst", "management"]

_STAY = -0.073  # ln .93
_SWITCH = -2.66  # ln .07
_ANSWERED = -0.51  # ln .60: an analyst's question mark is mostly followed by the answer
_ASKS_ON = -0.92  # ln .40
_ASKED = (-0.43, -1.05)  # ln .65, ln .35: after a question, without another mark
_THANKED = (-1.61, -0.22)  # ln .20, ln .80
_THANKS = re.compile(r"(?i)\bthank(?:s| you)\b[^,]{0,20}$")
_OPENING_SENTENCES = 4
_FIRST_TURN = 12  # sentences after a hand-off in which its question begins
_A_QUESTION = 9  # words
_GREETED = -0.22  # ln .80: management greets back, and the analyst goes on
_GREETS = re.compile(
    r"(?i)^(?:hey|hi|hello|yes|yeah|good|great|thanks?|thank you)?,? ?(?:good )?(?:morning|afternoon|"
    r"evening)?,? ?\w+[.!]$"
)
_NEVER = -1e9
# What the operator says between and after the questions, and where the questions are over.
_OPERATOR = re.compile(
    r"(?i)\b(?:press|use|dial) (?:the )?(?:star|\*)|\bstar,? (?:then )?(?:one|two|1|2|11)\b|telephone keypad|"
    r"touch-?tone|"
    r"\bthis (?:does )?concludes?\b|\bhas (?:now )?concluded\b|\bmay (?:now )?disconnect\b|\bdisconnect (?:your|"
    r"at this)|"
    r"^(?:\w+,? )?(?:you may (?:now )?proceed|please (?:go ahead|proceed)(?: with your questions?)?|"
    r"(?:perhaps )?your line "
    r"(?:is (?:now )?open|may be muted))[.]?$|^(?:okay,? )?(?:next|final) question,?(?: please)?[.]?$|"
    r"\bone moment (?:please )?(?:for|while)\b|^(?:and )?(?:our|your|for our) (?:next|final|"
    r"last) question,?(?: (?:has )?"
    r"comes?)?(?: from)?(?: the line of)?$"
)
_OVER = re.compile(
    r"(?i)\bno (?:further|more|other|additional) questions\b|\bclosing (?:remarks|comments)\b|\bend of (?:our|the) "
    r"(?:question|q ?& ?a)|\bthat(?:['’]s| is) (?:all the|it for (?:the|our))|\bconcludes (?:our|the|today|this)|"
    r"\bthank(?:s| you)(?: again| all| everyone| everybody|,)* for (?:joining|participating|dialing|"
    r"your (?:continued )?"
    r"(?:interest|participation|support))|\bwebcast replay\b|\baccess code\b"
)
_MANAGEMENT = 2
_CALLED = 2  # words of a call by name
_REMARKS = 20  # sentences: fewer before the first hand-off are no remarks
_OPENS = 3.0  # log-odds that an exchange's first sentence is the analyst's


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """A sentence with its speaker. `exchange` is -1 in prepared remarks, else the index of the exchange."""

    sentence: Sentence
    role: Role
    part: Part
    exchange: int
    speaker: str
    inferred: bool


def viterbi(odds: list[float], sentences: list[str]) -> list[bool]:
    """For each sentence of an exchange, whether the analyst speaks it: the most likely sequence.

    `odds` are the sentences' log-odds for the analyst. An analyst who has asked is more likely to be answered next,
    and most likely after a "Thanks." Three states then: an analyst who has not asked yet, one who has, management.
    """
    if not odds:
        return []
    asks = [sentence.endswith("?") for sentence in sentences]
    best = [_OPENS + odds[0] / 2, _NEVER, -odds[0] / 2]
    if asks[0]:
        best[:2] = [_NEVER, best[0]]
    came_from: list[tuple[int, int, int]] = []
    for index in range(1, len(odds)):
        stay, leave = _after_asking(sentences[index - 1])
        back = _GREETED if _GREETS.match(sentences[index - 1]) else _SWITCH
        entering = (best[0] + _STAY, best[1] + stay, best[2] + back)
        to_fresh = max((0, 2), key=lambda state: entering[state])
        to_asked = max((0, 1, 2), key=lambda state: entering[state]) if asks[index] else 1
        leaving = (best[0] + _SWITCH, best[1] + leave, best[2] + _STAY)
        to_management = max((2, 1, 0), key=lambda state: leaving[state])
        came_from.append((to_fresh, to_asked, to_management))
        best = [
            _NEVER if asks[index] else entering[to_fresh] + odds[index] / 2,
            entering[to_asked] + odds[index] / 2,
            leaving[to_management] - odds[index] / 2,
        ]
    state = max((0, 1, 2), key=lambda one: best[one])
    sequence = [state]
    for origins in reversed(came_from):
        state = origins[state]
        sequence.append(state)
    return [state != _MANAGEMENT for state in reversed(sequence)]


def _after_asking(sentence: str) -> tuple[float, float]:
    """The log-odds that an analyst who has asked goes on after this sentence, and that he is answered."""
    if sentence.endswith("?"):
        return _ASKS_ON, _ANSWERED
    return _THANKED if _THANKS.search(sentence) else _ASKED


def opening_is_prepared(sentences: list[Sentence]) -> bool:
    """Whether what comes before the first hand-off is prepared remarks, not the rest of an exchange in a cut file."""
    # Whoever is called by name is not asked: "Operator?"
    asked = sum(sentence.text.endswith("?") and sentence.words > _CALLED for sentence in sentences)
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
        utterances += _exchange(before, -1, "")
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
        utterances += _exchange(members, index, handoff.name)
    return utterances


def _exchange(sentences: list[Sentence], index: int, analyst: str) -> list[Utterance]:
    over = next((place for place, one in enumerate(sentences) if _OVER.search(one.text)), len(sentences))
    asked = [one for one in sentences[:over] if not _OPERATOR.search(one.text)]
    odds = [analyst_odds(one.text, analyst, opening=place < _OPENING_SENTENCES) for place, one in enumerate(asked)]
    spoken = viterbi(odds, [one.text for one in asked])
    if index >= 0:
        _open_with_analyst(asked, odds, spoken)
    theirs = dict(zip((one.start for one in asked), spoken, strict=True))
    utterances: list[Utterance] = []
    for place, one in enumerate(sentences):
        if place >= over:
            role: Role = "operator" if _OPERATOR.search(one.text) or _OVER.search(one.text) else "management"
        elif one.start in theirs:
            role = "analyst" if theirs[one.start] else "management"
        else:
            role = "operator"
        utterances.append(_utterance(one, role, index))
    return utterances


def _open_with_analyst(sentences: list[Sentence], odds: list[float], spoken: list[bool]) -> None:
    """After a hand-off it is the analyst who asks first: where nothing says so, all up to the first question is his."""
    first = range(min(_FIRST_TURN, len(sentences)))
    if any(spoken[place] and sentences[place].words >= _A_QUESTION for place in first):
        return
    long = [place for place in first if sentences[place].words >= _A_QUESTION]
    if not long:
        return
    marked = [place for place in long if sentences[place].text.endswith("?")]
    last = marked[0] if marked else max(long, key=lambda place: odds[place])
    spoken[: last + 1] = [True] * (last + 1)


def _utterance(sentence: Sentence, role: Role, exchange: int) -> Utterance:
    speaker = {"operator": "Operator", "analyst": "Analyst", "management": "Management"}[role]
    return Utterance(sentence=sentence, role=role, part="q_and_a", exchange=exchange, speaker=speaker, inferred=False)


__all__ = ["Handoff", "Role", "Utterance", "analyst_odds", "assign_turns", "find_handoffs", "viterbi"]
