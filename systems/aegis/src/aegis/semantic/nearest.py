"""Which topic or theme a statement is like, by its likeness with written examples of each (`examples.toml`).

This is for statements that the lexicon knows nothing of; the rest it knows better (docs/decisions/0020).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""Gives each text its vector of length 1. The same texts must always give the same vectors."""

Kind = Literal["topics", "themes"]

_LEAST: dict[Kind, float] = {"topics": 0.45, "themes": 0.35}
_LEAD: dict[Kind, float] = {"topics": 0.08, "themes": 0.05}
"""The least likeness, and by how much it must exceed the next kind's. With both, nine of ten labelled real sentences
and questions are of the kind that they are like; with likeness alone it is three of four."""
_NEAREST = 2
_DIGITS = 4
"""Likenesses are compared to so many digits: the last ones depend on the machine."""


@cache
def _examples(kind: Kind) -> tuple[tuple[str, str], ...]:
    document = tomllib.loads(files("aegis.semantic").joinpath("examples.toml").read_text(encoding="utf-8"))
    return tuple((key, text) for key, texts in document[kind].items() for text in texts)


@lru_cache(maxsize=4)
def _known(kind: Kind, embed: Embed) -> tuple[tuple[str, Sequence[float]], ...]:
    """The examples' vectors; they are the same for every call."""
    examples = _examples(kind)
    vectors = embed([text for _, text in examples])
    return tuple((key, vector) for (key, _), vector in zip(examples, vectors, strict=True))


def nearest_topics(texts: Sequence[str], embed: Embed) -> list[str | None]:
    """For each sentence the topic of a Call Summary that it is like; None where it is like none."""
    return _nearest(texts, "topics", embed)


def nearest_theme(text: str, embed: Embed) -> str | None:
    """The theme of Key Themes that a question is like; None where it is like none."""
    return _nearest([text], "themes", embed)[0]


def _nearest(texts: Sequence[str], kind: Kind, embed: Embed) -> list[str | None]:
    if not texts:
        return []
    known = _known(kind, embed)
    found: list[str | None] = []
    for vector in embed(texts):
        alike: dict[str, list[float]] = {}
        for key, example in known:
            alike.setdefault(key, []).append(sum(a * b for a, b in zip(vector, example, strict=True)))
        rated = {key: round(_mean(sorted(values)[-_NEAREST:]), _DIGITS) for key, values in alike.items()}
        best, second = sorted(rated, key=lambda key: -rated[key])[:2]
        sure = rated[best] >= _LEAST[kind] and round(rated[best] - rated[second], _DIGITS) >= _LEAD[kind]
        found.append(best if sure else None)
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
