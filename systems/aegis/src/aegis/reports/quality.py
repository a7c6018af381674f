"""The page of quality: what became of every sentence of a call, and why, in numbers that add up exactly.

Each sentence counts once. Whether it is quoted is read from the finished sections, whoever wrote them; of the others
the first reason that holds is counted, in the order of the list below.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from aegis.reports.analysis import analyse, is_quotable
from aegis.reports.boilerplate import is_boilerplate
from aegis.reports.lexicon import effect_of, lowered, topics
from aegis.reports.model import ModelQuality, Quality, Refusal, Tally
from aegis.reports.salience import SHORTEST, has_quantity
from aegis.reports.sentences import LONGEST
from aegis.reports.summary import GUIDANCE
from aegis.reports.themes import theme_section, theme_topics

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis, Candidate
    from aegis.reports.model import CallTranscript, Quote, Section
    from aegis.reports.turns import Utterance
    from aegis.semantic import Embed

Reason = Literal[
    "operator",
    "analyst",
    "prepared",
    "unasked",
    "question",
    "boilerplate",
    "short",
    "long",
    "cut",
    "no_topic",
    "no_slot",
    "duplicate",
    "weaker",
    "no_question",
    "not_asked",
]
"""Why a sentence, or the last two: an exchange, is not in a report."""

REASONS: dict[Reason, str] = {
    "operator": "said by the operator",
    "analyst": "said by an analyst",
    "prepared": "prepared remarks: key themes quote questions and answers",
    "unasked": "an answer to no question that was recognised",
    "question": "a question, asked or put by management",
    "boilerplate": "boilerplate: disclaimers, courtesies, pointers to documents",
    "short": f"fewer than {SHORTEST} words",
    "long": f"more than {LONGEST} words without a full stop",
    "cut": "no whole sentence: cut off, or begun in the middle",
    "no_topic": "on no topic of the report",
    "no_slot": "on a topic, but on none of its sub-slots",
    "duplicate": "says the same as a statement that is quoted",
    "weaker": "weaker than the best of its sub-slot, measure or answer, or too weak for any",
    "no_question": "an exchange in which the analyst asks nothing",
    "not_asked": "a question that the writer left out",
}
REFUSALS: dict[Refusal | Literal["not_chosen"], str] = {
    "not_verbatim": "not in the transcript word for word",
    "other_speaker": "not said by one person of the side that was asked for",
    "question": "a question in the place of a statement",
    "length": "too short or too long",
    "boilerplate": "boilerplate: disclaimers, courtesies, pointers to documents",
    "label": "under a label that there is not",
    "not_chosen": "good, but not among the best of its sub-slot, measure or answer",
}
"""Why something that a language model gave as a quote is not in a report."""
_SAME = 88.0
"""Of 100, by rapidfuzz's ratio of sorted words: from here on two statements say the same."""


def assess(
    sections: Sequence[Section], transcript: CallTranscript, report_type: str, embed: Embed | None = None
) -> Quality:
    """The figures of a report whose quotes are verbatim; `embed` is what its writer used."""
    analysis = analyse(transcript, embed)
    themes = report_type == "Key Themes"
    blocks = [block for section in sections for block in section.blocks]
    answers = [quote for block in blocks for quote in block.quotes]
    asked = [block.question for block in blocks if block.question is not None]
    quoted = _Quoted([*answers, *asked])
    reason = _theme_reason(analysis) if themes else _summary_reason(analysis, answers)
    guidance = [
        quote for section in sections if section.topic == GUIDANCE for b in section.blocks for quote in b.quotes
    ]
    return Quality(
        statements=_tally("kept" if quoted.has(one) else reason(one) for one in analysis.utterances),
        questions=_questions(analysis, transcript.text, quoted) if themes else None,
        quotes=len(answers) + len(asked),
        managements=len(answers),
        with_quantity=sum(has_quantity(quote.text) for quote in answers),
        inferred=sum(quote.speaker_inferred for quote in answers),
        guidance=len(guidance),
        compared=sum(quote.earlier is not None for quote in guidance),
        speakers_known=bool(transcript.speeches),
        model=_model(sections),
        sections={section.topic: _of_section(section) for section in sections},
        empty_sections=[section.title for section in sections if not section.blocks],
        words=len(transcript.text.split()),
        previous=transcript.previous.period if transcript.previous else None,
        notices=[transcript.notice] if transcript.notice else [],
    )


def _of_section(section: Section) -> Tally:
    dropped = Counter[str](quote.reason for quote in section.refused)
    dropped["not_chosen"] = section.dropped - dropped.total()
    return Tally(considered=section.considered, kept=section.kept, dropped=dict(dropped))


def _model(sections: Sequence[Section]) -> ModelQuality | None:
    """All that a language model gave, over the sections that it chose the quotes of; None where it chose none."""
    chosen = [section for section in sections if section.by_model]
    if not chosen:
        return None
    tallies = [_of_section(section) for section in chosen]
    dropped = {reason: sum(tally.dropped.get(reason, 0) for tally in tallies) for reason in REFUSALS}
    return ModelQuality(
        quotes=Tally(
            considered=sum(tally.considered for tally in tallies),
            kept=sum(tally.kept for tally in tallies),
            dropped={reason: count for reason, count in dropped.items() if count},
        ),
        asked_again=sum(section.asked_again for section in chosen),
        given_up=sum(section.given_up for section in chosen),
        cost_usd=sum((section.cost_usd for section in chosen), Decimal(0)),
    )


def tallies_of(quality: Quality) -> list[tuple[str, Tally, Mapping[str, str]]]:
    """What is told in numbers, each with its heading and the words for its reasons."""
    found: list[tuple[str, Tally, Mapping[str, str]]] = [("Statements of the call", quality.statements, _WORDS)]
    if quality.questions is not None:
        found.append(("Exchanges with analysts", quality.questions, _WORDS))
    if quality.model is not None:
        found.append(("Quotes that the language model gave", quality.model.quotes, _MODEL_WORDS))
    return found


def unquotable(sentence: str) -> Reason | None:
    """Why a sentence of management cannot be quoted whatever it is about; None where it can."""
    if is_quotable(sentence):
        return None
    words = sentence.count(" ") + 1
    if "?" in sentence:
        return "question"
    if is_boilerplate(sentence):
        return "boilerplate"
    if words < SHORTEST:
        return "short"
    return "long" if words > LONGEST else "cut"


_WORDS: Mapping[str, str] = {str(reason): words for reason, words in REASONS.items()}
_MODEL_WORDS: Mapping[str, str] = {str(reason): words for reason, words in REFUSALS.items()}


class _Quoted:
    """The spans of the quotes, to ask whether a sentence is in one of them."""

    def __init__(self, quotes: Iterable[Quote]) -> None:
        spans: list[tuple[int, int]] = []
        for start, end in sorted((quote.start, quote.end) for quote in quotes):
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def has(self, one: Utterance) -> bool:
        at = bisect_left(self._ends, one.sentence.start + 1)
        return at < len(self._starts) and self._starts[at] < one.sentence.end


def _summary_reason(analysis: Analysis, quotes: Sequence[Quote]) -> _Why:
    candidates = {candidate.utterance.sentence.start: candidate for candidate in analysis.candidates}
    chosen = [_sorted_words(quote.text) for quote in quotes]

    def reason(one: Utterance) -> Reason:
        refused = _others(one) or unquotable(one.sentence.text)
        if refused is not None:
            return refused
        candidate = candidates.get(one.sentence.start)
        if candidate is None or (candidate.topic is None and candidate.measure is None):
            return "no_topic"
        if _repeats(one.sentence.text, chosen):
            return "duplicate"
        return "weaker" if candidate.measure is not None or _has_slot(candidate) else "no_slot"

    return reason


def _theme_reason(analysis: Analysis) -> _Why:
    answering = {one.sentence.start for exchange in analysis.exchanges for one in exchange.answer}

    def reason(one: Utterance) -> Reason:
        if one.part == "prepared" and one.role != "operator":
            return "prepared"
        refused = _others(one)
        if refused is None and one.sentence.start not in answering:
            return "unasked"
        return refused or unquotable(one.sentence.text) or "weaker"

    return reason


def _questions(analysis: Analysis, text: str, quoted: _Quoted) -> Tally:
    """The exchanges: those with a question in the report, without any question, and left out by the writer."""
    asking: set[int] = set()
    for key in theme_topics():
        asking |= {block.question.start for block in theme_section(analysis, text, key).blocks if block.question}
    fates: list[str] = []
    for exchange in analysis.exchanges:
        if any(quoted.has(one) for one in exchange.question):
            fates.append("kept")
        else:
            asks = any(one.sentence.start in asking for one in exchange.question)
            fates.append("not_asked" if asks else "no_question")
    return _tally(fates)


def _tally(fates: Iterable[str]) -> Tally:
    counts = Counter(fates)
    considered, kept = counts.total(), counts.pop("kept", 0)
    return Tally(
        considered=considered, kept=kept, dropped={reason: counts[reason] for reason in REASONS if counts[reason]}
    )


def _others(one: Utterance) -> Reason | None:
    match one.role:
        case "operator":
            return "operator"
        case "analyst":
            return "analyst"
        case "management":
            return None


def _has_slot(candidate: Candidate) -> bool:
    text = effect_of(lowered(candidate.utterance.sentence.text))
    return candidate.topic is not None and any(pattern.search(text) for _, pattern in topics()[candidate.topic].slots)


def _sorted_words(text: str) -> str:
    return " ".join(sorted(lowered(text).split()))


def _repeats(sentence: str, chosen: Sequence[str]) -> bool:
    from rapidfuzz import fuzz, process

    words = _sorted_words(sentence)
    return process.extractOne(words, chosen, scorer=fuzz.ratio, score_cutoff=_SAME) is not None


if TYPE_CHECKING:
    from collections.abc import Callable

    _Why = Callable[[Utterance], Reason]
