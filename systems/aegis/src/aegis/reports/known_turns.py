"""Who speaks each sentence, where the transcript's file says so: nothing is inferred but where exchanges begin."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from aegis.reports.sentences import Sentence, split_sentences
from aegis.reports.turns import Utterance
from aegis.transcripts.handoffs import Handoff
from aegis.transcripts.speeches import stage_directions

if TYPE_CHECKING:
    from aegis.transcripts.model import Speech

_ENDS = frozenset('.!?…"”’)')


def read_turns(text: str, speeches: tuple[Speech, ...]) -> tuple[list[Handoff], list[Utterance]]:
    """The exchanges' analysts, and every spoken sentence in order.

    An exchange begins where the operator hands over, or another analyst speaks. No sentence crosses from one speech
    to the next; stage directions that stand by themselves, and speakers whom nobody knows, are left out.
    """
    starts = [speech.start for speech in speeches]
    directions = [span for span in stage_directions(text) if _alone(text, span, starts)]
    borders = {place for speech in speeches for place in (speech.start, speech.end)}
    borders |= {place for span in directions for place in span}
    aside = {start for start, _ in directions}
    members: list[list[Sentence]] = [[] for _ in speeches]
    for sentence in split_sentences(text, sorted(borders)):
        if sentence.start not in aside:
            members[bisect_right(starts, sentence.start) - 1].append(sentence)

    handoffs: list[Handoff] = []
    utterances: list[Utterance] = []
    asking: str | None = None
    for speech, sentences in zip(speeches, members, strict=True):
        if speech.role == "unknown":
            continue
        if speech.role == "operator":
            asking = None
        if speech.role == "analyst" and speech.part == "q_and_a" and asking != speech.speaker:
            asking = speech.speaker
            handoffs.append(_handoff(speech))
        utterances += [
            Utterance(
                sentence=sentence,
                role=speech.role,
                part=speech.part,
                exchange=-1 if speech.part == "prepared" else len(handoffs) - 1,
                speaker=speech.speaker,
                inferred=False,
            )
            for sentence in sentences
        ]
    return handoffs, utterances


def _handoff(speech: Speech) -> Handoff:
    name = "" if speech.speaker == "Analyst" else speech.speaker
    return Handoff(start=speech.start, end=speech.start, name=name, firm=speech.firm or "", known=True)


def _alone(text: str, span: tuple[int, int], starts: list[int]) -> bool:
    """Whether a direction stands between sentences; one within a sentence stays in it."""
    first = starts[max(0, bisect_right(starts, span[0]) - 1)]
    at = span[0] - 1
    while at >= first and text[at].isspace():
        at -= 1
    return at < first or text[at] in _ENDS
