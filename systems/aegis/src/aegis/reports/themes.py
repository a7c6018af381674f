"""The sections of Key Themes: what analysts asked, by named theme, with management's answer.

A question is scored over its best window of sentences, over all that the analyst says with it and, at less weight, over
its answer. A follow-up that says too little takes its analyst's last theme; what is of no theme goes to "Other
questions".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from aegis.reports.analysis import is_quotable
from aegis.reports.cues import analyst_odds
from aegis.reports.heard import analyst_of, firm_of
from aegis.reports.lexicon import Topic, load_topics, lowered
from aegis.reports.model import Block, Quote, Section
from aegis.reports.salience import has_quantity, salience
from aegis.reports.summary import quote_of
from aegis.semantic import nearest_theme

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis, Exchange
    from aegis.reports.turns import Utterance

OTHER = "theme_other_questions"
_OTHER_TITLE = "Other questions"
_LEAST = 4.0
"""The least score of a theme, where a word counts twice in the window and once elsewhere in the question."""
_LEAD_WORDS = 30
"""Words in which an analyst mostly says what the question is on; a theme named there counts half more."""
_LEAST_OF_ANSWER = 5.0
"""What an answer must score by itself to name the theme of a question that names none."""
_IN_ANSWER = 0.75
_IN_LEAD = 0.5
_ANYTHING = -10.0
_FORCED = 15
_COURTESY_WORDS = 16
_ASKS_MOST = 3.0
_ASKING = 1.2
"""The log-odds for the analyst from which a sentence is taken to ask, with or without a question mark."""
_WINDOW_SENTENCES = 3
_WINDOW_WORDS = 85
_QUESTION_WORDS = 9
_ANSWERS = 2
_LEAST_ANSWER = 2.0
# The subject changes: what follows is no part of the analyst's last theme.
_ELSEWHERE = re.compile(
    r"\bseparate(?:ly)?\b|\bdifferent (?:topic|subject|question)|\bcircl|\bswitch|\bunrelated\b|\bother question"
)
_COURTESY = re.compile(
    r"(?i)^(?:(?:hi|hey|hello|yeah|yes|okay|ok|great|good|oh|thanks?|thank you|got it|perfect|all "
    r"right|sure|sorry|morning|"
    r"good (?:morning|afternoon|evening)|helpful|super|very|so|much|guys|everyone|everybody|"
    r"understood|that['’]?s|that is|that|makes sense|fair enough|appreciate (?:it|that)|cool|"
    r"nice)[,.! ]*)+(?:\w+[,.! ]*){0,4}$|"
    r"another question|just saying|one more question\?$|tak(?:e|ing) (?:my|the|our) question|can "
    r"you hear|for (?:the|that) (?:color|answer)"
)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A question as it is quoted, with the key of its theme."""

    theme: str
    block: Block


@cache
def themes() -> dict[str, Topic]:
    """The named themes by key, in the order of a report."""
    return load_topics("themes.toml", "theme")


def theme_topics() -> list[str]:
    """The keys of the sections in their order."""
    return [*themes(), OTHER]


def theme_section(analysis: Analysis, text: str, key: str) -> Section:
    """One theme; without questions it is empty. Raises `KeyError` for a key that is none of `theme_topics()`."""
    title = _OTHER_TITLE if key == OTHER else themes()[key].title
    asked = _questions(analysis, text)
    blocks = [question.block for question in asked if question.theme == key]
    return Section(
        report_type="Key Themes",
        topic=key,
        title=title,
        blocks=blocks,
        considered=len(asked),
        kept=len(blocks),
        dropped=len(asked) - len(blocks),
    )


def _questions(analysis: Analysis, text: str) -> list[_Asked]:
    """Every question of the call; made once an analysis, since each of its sections asks for it."""
    known: list[_Asked] | None = analysis.__dict__.get("_questions")
    if known is not None:
        return known
    asked: list[_Asked] = []
    last: dict[int, str] = {}
    for exchange in analysis.exchanges:
        index = exchange.question[0].exchange
        # Every analyst appears: of the first turn after a hand-off something is quoted, however it is put.
        window = _window(exchange.question) or (
            None if index in last else _window(exchange.question, least=_ANYTHING, words=_FORCED)
        )
        if window is None:
            continue
        whole = " ".join(one.sentence.text for one in exchange.question if not _is_courtesy(one.sentence.text))
        theme = _theme(" ".join(one.sentence.text for one in window), whole, _spoken(exchange.answer), last.get(index))
        if theme == OTHER and analysis.embed is not None:
            theme = nearest_theme(" ".join(one.sentence.text for one in window), analysis.embed) or OTHER
        last[index] = theme
        asked.append(_Asked(theme=theme, block=_block(exchange, window, theme, text)))
    analysis.__dict__["_questions"] = asked
    return asked


def _theme(window: str, question: str, answer: str, last: str | None) -> str:
    """The theme of the highest score; where it is weak the analyst's last one, or that of the answer alone."""
    asked, told, answered = lowered(window), lowered(question), lowered(answer)
    named = " ".join(told.split()[:_LEAD_WORDS])
    best, best_score = OTHER, 0.0
    answered_best, answered_score = OTHER, 0.0
    for key, theme in themes().items():
        in_question, in_answer = theme.score(told), theme.score(answered)
        score = theme.score(asked) + in_question + _IN_LEAD * theme.score(named) + _IN_ANSWER * in_answer
        if in_question > 0 and score > best_score:
            best, best_score = key, score
        if in_answer > answered_score:
            answered_best, answered_score = key, in_answer
    if best_score >= _LEAST:
        return best
    if last is not None and not _ELSEWHERE.search(told):
        return last
    return answered_best if answered_score >= _LEAST_OF_ANSWER else OTHER


def _spoken(answer: list[Utterance]) -> str:
    """The beginning of an answer, where it keeps to the question."""
    return " ".join(one.sentence.text for one in answer[:10])


def _window(question: list[Utterance], least: float = _ASKING, words: int = _QUESTION_WORDS) -> list[Utterance] | None:
    """The one to three neighbouring sentences that ask the most; None where nothing is asked."""
    asking = [_asking(one.sentence.text) for one in question]
    best: list[Utterance] | None = None
    best_score = 0.0
    for first in range(len(question)):
        for last in range(first, min(first + _WINDOW_SENTENCES, len(question))):
            window = question[first : last + 1]
            asks = asking[first : last + 1]
            if None in asks:
                break
            length = sum(one.sentence.words for one in window)
            if length < words or (length > _WINDOW_WORDS and last > first):
                continue
            most = max(odds for odds in asks if odds is not None)
            if most < least:
                continue
            joined = lowered(" ".join(one.sentence.text for one in window))
            themed = max(theme.score(joined) for theme in themes().values())
            marked = 2.0 if window[-1].sentence.text.endswith("?") else 0.0
            score = 1.0 + themed + marked + min(length, 50) / 50 + min(most, _ASKS_MOST) / 2
            if score > best_score:
                best, best_score = window, score
    return best


def _asking(sentence: str) -> float | None:
    """How much a sentence of an analyst asks, in log-odds; None for a courtesy, which nobody wants to read."""
    if _is_courtesy(sentence):
        return None
    return _ASKS_MOST if sentence.endswith("?") else analyst_odds(sentence)


def _is_courtesy(sentence: str) -> bool:
    return sentence.count(" ") < _COURTESY_WORDS and _COURTESY.search(sentence) is not None


def _block(exchange: Exchange, window: list[Utterance], theme: str, text: str) -> Block:
    handoff = exchange.handoff
    start, end = window[0].sentence.start, window[-1].sentence.end
    name = handoff.name if handoff else None
    firm = handoff.firm if handoff and handoff.firm else None
    speaker = name or "Analyst"
    named = handoff is not None and handoff.known
    return Block(
        label=speaker,
        question=Quote(text=text[start:end], start=start, end=end, speaker=speaker, part="q_and_a"),
        analyst=((None if named else analyst_of(name)) or name) if name else None,
        analyst_heard=name,
        firm=((None if named else firm_of(firm)) or firm) if firm else None,
        firm_heard=firm,
        quotes=[quote_of(one) for one in _answer(exchange.answer, theme, window)],
    )


def _answer(answer: list[Utterance], theme: str, window: list[Utterance]) -> list[Utterance]:
    """The sentences of the answer that say the most of the theme, in their order."""
    topic = themes().get(theme)
    asked = _long_words(" ".join(one.sentence.text for one in window))
    rated: list[tuple[float, Utterance]] = []
    for index, one in enumerate(answer):
        sentence = one.sentence.text
        if not is_quotable(sentence) or one.sentence.words < _ANSWER_WORDS or _EMPTY_ANSWER.search(sentence):
            continue
        score = salience(sentence, prepared=False, position=min(1.0, index / 20))
        themed = topic.score(lowered(sentence)) if topic else 0.0
        shared = len(asked & _long_words(sentence))
        if themed <= 0 and shared == 0:
            score -= _OFF_THEME
        score += min(4.0, themed) + 0.5 * min(4, shared)
        score += 1.0 if has_quantity(sentence) else 0.0
        score += 0.8 if index < _ANSWER_BEGINS else 0.0
        rated.append((score, one))
    rated.sort(key=lambda pair: -pair[0])
    chosen = [one for score, one in rated[:_ANSWERS] if score > _LEAST_ANSWER]
    return sorted(chosen, key=lambda one: one.sentence.start)


def _long_words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{5,}", text.lower())) - _COMMON


_COMMON = frozenset(
    [
        "about",
        "think",
        "going",
        "would",
        "could",
        "should",
        "really",
        "maybe",
        "kind",
        "these",
        "those",
        "there",
        "their",
        "which",
        "where",
        "being",
        "still",
        "again",
        "quarter",
        "years",
        "other",
        "things",
        "thing",
        "little",
        "right",
        "based",
        "terms",
        "given",
        "talked",
        "mentioned",
        "question",
        "looking",
        "could",
    ]
)
_ANSWER_WORDS = 10
_ANSWER_BEGINS = 6
_OFF_THEME = 1.5
_EMPTY_ANSWER = re.compile(
    r"(?i)^(?:and )?(?:i (?:totally|completely|fully|appreciate|understand|agree)|likewise|we speak for|"
    r"as you (?:point|note|know|"
    r"said)|it['’]s in my|you (?:should|know,? you)|that['’]s a (?:good|great|fair))\b|\bin other words, you\b|"
    r"\bi don['’]t (?:have|know|want to)\b|\bhard to (?:say|know|predict)\b|\bdo your own\b"
)
