"""The reading of one transcript, done once and shared by its sections: sentences, speakers, exchanges."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from aegis.reports.boilerplate import is_boilerplate
from aegis.reports.guidance import guidance_strength, guided_measure
from aegis.reports.known_turns import read_turns
from aegis.reports.lexicon import topic_of
from aegis.reports.salience import SHORTEST, salience
from aegis.reports.sentences import LONGEST, split_sentences
from aegis.reports.turns import Utterance, assign_turns
from aegis.semantic import nearest_topics
from aegis.transcripts.handoffs import Handoff, find_handoffs

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript
    from aegis.semantic import Embed
    from aegis.transcripts.model import Speech

_CACHED = 16
"""Analyses that are kept: two calls for each bank that is worked on at once, and some. About 2 MB each; one with
embeddings shares what it can with the one without."""
_WORTH_ASKING = 2.6
"""The least salience at which it is asked what a sentence means: below, it would not be quoted (`summary`)."""
_FRAGMENT = re.compile(
    r"(?i)^(?:and|but|so|because|or|which|as|with|of|to|in)\s*[,.]|[,;:\-–—]$|\b(?:the|a|of|to|"
    r"and|or|but|our|we|in|is|for|with|that)[.]?$"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A sentence of management that may be quoted, with what it is about, how much it tells.

    `position` is its place in the prepared remarks, 0 to 1; of an answer it is 1.
    """

    utterance: Utterance
    topic: str | None
    measure: str | None
    salience: float
    position: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One question with its answer: consecutive sentences of the analyst, then of management."""

    handoff: Handoff | None
    question: list[Utterance]
    answer: list[Utterance]


class Analysis:
    """What is read out of a transcript. Everything in it is in the order of the text."""

    def __init__(
        self,
        text: str,
        speeches: tuple[Speech, ...] = (),
        embed: Embed | None = None,
        plain: Analysis | None = None,
    ) -> None:
        """`plain` is the same text's analysis without embeddings, where it is at hand: most of both is the same."""
        self.embed = embed
        self.length = max(1, len(text))
        self._plain = plain
        self.handoffs: list[Handoff]
        self.utterances: list[Utterance]
        if plain is not None:
            self.handoffs, self.utterances = plain.handoffs, plain.utterances
            return
        if speeches:
            self.handoffs, self.utterances = read_turns(text, speeches)
            return
        handoffs = find_handoffs(text)
        borders = sorted({place for handoff in handoffs for place in (handoff.start, handoff.end)})
        self.handoffs = handoffs
        self.utterances = assign_turns(split_sentences(text, borders), handoffs)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """Management's sentences that can be quoted, each with its topic and measure."""
        found = self._candidates() if self._plain is None else self._plain.candidates
        return found if self.embed is None else _with_topics(found, self.embed)

    def _candidates(self) -> list[Candidate]:
        found: list[Candidate] = []
        remarks = max((one.sentence.end for one in self.utterances if one.part == "prepared"), default=self.length)
        for utterance in self.utterances:
            sentence = utterance.sentence.text
            if utterance.role != "management" or not is_quotable(sentence):
                continue
            prepared = utterance.part == "prepared"
            start = utterance.sentence.start
            found.append(
                Candidate(
                    utterance=utterance,
                    topic=topic_of(sentence),
                    measure=guided_measure(sentence, prepared=prepared),
                    salience=salience(sentence, prepared=prepared, position=start / self.length),
                    position=start / remarks if prepared else 1.0,
                )
            )
        return found

    @cached_property
    def guidance(self) -> dict[str, list[Candidate]]:
        """By measure the statements of guidance, the best first; equal ones in the order of the text."""
        found: dict[str, list[Candidate]] = {}
        for candidate in self.candidates:
            if candidate.measure is not None:
                found.setdefault(candidate.measure, []).append(candidate)
        for statements in found.values():
            statements.sort(
                key=lambda candidate: -(candidate.salience + guidance_strength(candidate.utterance.sentence.text))
            )
        return found

    @cached_property
    def exchanges(self) -> list[Exchange]:
        """The questions and answers of the call."""
        found: list[Exchange] = []
        question: list[Utterance] = []
        answer: list[Utterance] = []

        def close() -> None:
            if question:
                index = question[0].exchange
                handoff = self.handoffs[index] if index >= 0 else None
                found.append(Exchange(handoff=handoff, question=list(question), answer=list(answer)))
            question.clear()
            answer.clear()

        for utterance in self.utterances:
            if utterance.part == "prepared":
                continue
            if utterance.role == "operator":
                close()
            elif utterance.role == "analyst":
                if answer:
                    close()
                question.append(utterance)
            elif question:
                answer.append(utterance)
        close()
        return found


def is_quotable(sentence: str) -> bool:
    """Whether a sentence of management may stand in a report: whole, no question, no boilerplate, no "[inaudible]"."""
    words = sentence.count(" ") + 1
    if "?" in sentence or "[" in sentence or not SHORTEST <= words <= LONGEST:
        return False
    return _FRAGMENT.search(sentence) is None and not is_boilerplate(sentence)


def _with_topics(candidates: list[Candidate], embed: Embed) -> list[Candidate]:
    """Candidates of which the lexicon knows nothing with the topic that they are like, where they are like one."""
    unknown = [at for at, one in enumerate(candidates) if one.topic is None and one.salience >= _WORTH_ASKING]
    found = list(candidates)
    texts = [candidates[at].utterance.sentence.text for at in unknown]
    for at, topic in zip(unknown, nearest_topics(texts, embed), strict=True):
        found[at] = replace(candidates[at], topic=topic)
    return found


_Key = tuple[str, "Embed | None"]
_analyses: OrderedDict[_Key, Analysis] = OrderedDict()
_locks: dict[_Key, threading.Lock] = {}
_guard = threading.Lock()


def analyse(transcript: CallTranscript, embed: Embed | None = None) -> Analysis:
    """The analysis of a transcript, from memory where it was made lately. Safe to call from several threads."""
    plain = analyse(transcript) if embed is not None else None
    key = transcript.sha256, embed
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        with _guard:
            known = _analyses.get(key)
            if known is not None:
                _analyses.move_to_end(key)
                return known
        analysis = Analysis(transcript.text, transcript.speeches, embed, plain)
        with _guard:
            _analyses[key] = analysis
            while len(_analyses) > _CACHED:
                oldest, _ = _analyses.popitem(last=False)
                _locks.pop(oldest, None)
        return analysis
