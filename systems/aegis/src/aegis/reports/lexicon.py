"""The topics of a call summary: a weighted lexicon with sub-slots, read from `lexicon.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

THRESHOLD = 1.75
"""The least score at which a sentence is of a topic."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic: its weighted patterns, and its sub-slots in the order in which they are printed.

    `named` has for some slots how the measure itself is named, of the whole company; `least` is the least score of a
    sentence that is quoted.
    """

    key: str
    title: str
    patterns: tuple[tuple[float, re.Pattern[str]], ...]
    slots: tuple[tuple[str, re.Pattern[str]], ...]
    named: dict[str, re.Pattern[str]]
    least: float = 0.0

    def score(self, lowered: str) -> float:
        """The sum of the weights of the patterns that a lower-case sentence matches, each counted once."""
        return sum(weight for weight, pattern in self.patterns if pattern.search(lowered))


_OF_CLAIM = 0.5
_CLAIM_WORDS = 3
"""Blanks before which a reason starts no sentence's tail: "Driven by fees, revenue rose" has none."""
_PAIR = 2
_REASONS = re.compile(
    r",? (?:(?:primarily|largely|mainly|predominantly|mostly|partially|partly) )?(?:driven|reflecting|reflects?|"
    r"reflected|due to|offset|given|supported by|led by|because|as a result of|excluding|even while|while|despite|"
    r"notwithstanding|including|inclusive of|fueled by|attributable|primarily|largely|mainly|predominantly|mostly)\b|"
    r", (?:as|which|with)\b"
)

_CAUSES = re.compile(
    r",? (?:(?:primarily|largely|mainly|predominantly|mostly|partially|partly) )?(?:driven|reflecting|reflects?|"
    r"reflected|due to|offset|supported by|led by|because|as a result of|fueled by|attributable)\b"
)


@cache
def topics() -> dict[str, Topic]:
    """All topics by key, in the order of a report. Read and compiled at the first call."""
    return load_topics("lexicon.toml", "topic")


def load_topics(file: str, table: str) -> dict[str, Topic]:
    """The topics of one of this package's TOML files."""
    document = tomllib.loads(files("aegis.reports").joinpath(file).read_text(encoding="utf-8"))
    return {
        entry["key"]: Topic(
            key=entry["key"],
            title=entry["title"],
            patterns=tuple((float(weight), re.compile(pattern)) for weight, pattern in entry["patterns"]),
            slots=tuple((slot[0], re.compile(slot[1])) for slot in entry.get("slots", [])),
            named={slot[0]: re.compile(slot[2]) for slot in entry.get("slots", []) if len(slot) > _PAIR},
            least=float(entry.get("least", 0.0)),
        )
        for entry in document[table]
    }


def lowered(sentence: str) -> str:
    """A sentence as the patterns read it."""
    return sentence.lower().replace("’", "'")


def claim_of(lower: str) -> str:
    """What a lower-case sentence says before it gives reasons, conditions and parts."""
    return _before(_REASONS, lower)


def effect_of(lower: str) -> str:
    """What a lower-case sentence says before it gives causes."""
    return _before(_CAUSES, lower)


def _before(pattern: re.Pattern[str], lower: str) -> str:
    for match in pattern.finditer(lower):
        if lower.count(" ", 0, match.start()) >= _CLAIM_WORDS:
            return lower[: match.start()]
    return lower


def topic_of(sentence: str) -> str | None:
    """The key of the best topic of a sentence; None where no topic reaches the threshold.

    What the sentence says first counts in full, the reasons after it half: "revenue rose on fees" is of revenue.
    """
    text = lowered(sentence)
    claim = claim_of(text)
    found = [(topic.score(text), topic.key) for topic in topics().values()]
    if claim != text:
        found = [(_OF_CLAIM * topics()[key].score(claim) + (1 - _OF_CLAIM) * score, key) for score, key in found]
    score, key = max(found, key=lambda pair: pair[0])
    return key if score >= THRESHOLD else None
