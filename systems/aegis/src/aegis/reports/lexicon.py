"""The topics of a call summary: a weighted lexicon with sub-slots, read from `lexicon.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

THRESHOLD = 2.0
"""The least score at which a sentence is of a topic."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic: its weighted patterns, and its sub-slots in the order in which they are printed."""

    key: str
    title: str
    patterns: tuple[tuple[float, re.Pattern[str]], ...]
    slots: tuple[tuple[str, re.Pattern[str]], ...]

    def score(self, lowered: str) -> float:
        """The sum of the weights of the patterns that a lower-case sentence matches, each counted once."""
        return sum(weight for weight, pattern in self.patterns if pattern.search(lowered))


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
            slots=tuple((label, re.compile(pattern)) for label, pattern in entry.get("slots", [])),
        )
        for entry in document[table]
    }


def lowered(sentence: str) -> str:
    """A sentence as the patterns read it."""
    return sentence.lower().replace("’", "'")


def topic_of(sentence: str) -> str | None:
    """The key of the best topic of a sentence; None where no topic reaches the threshold."""
    text = lowered(sentence)
    found = [(topic.score(text), topic.key) for topic in topics().values()]
    score, key = max(found, key=lambda pair: pair[0])
    return key if score >= THRESHOLD else None
