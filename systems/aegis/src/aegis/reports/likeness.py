"""How alike two statements are: the cosine of TF-IDF vectors, or of embeddings where a function for them is given."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis.semantic import Embed

_WORD = re.compile(r"[a-z][a-z'\-]+")
# Words of every statement of guidance: likeness must come from what is guided, not from how guidance is worded.
_STOP_LINES = (
    "a about again all also an and any are as at be been being but by can could do for from had has have he her",
    "his how i if in into is it its just like more most not now of on or other our out over so some still such",
    "than that the their them then there these they this those to up us very was we well were what when which",
    "while will with would you your we're we've we'd it's that's expect expects expected anticipate anticipated",
    "continue continues currently approximately roughly around between quarter year full full-year percent basis",
    "points billion million range",
)
_STOP = frozenset(" ".join(_STOP_LINES).split())


def likenesses(
    texts: Sequence[str], others: Sequence[str], background: Sequence[str], embed: Embed | None = None
) -> list[list[float]]:
    """For each of `texts` its likeness with each of `others`, about 0 (nothing in common) to 1 (the same).

    `background` are the statements by which TF-IDF tells a rare word from a common one; embeddings need none.
    """
    if not texts or not others:
        return [[] for _ in texts]
    if embed is not None:
        vectors = [_unit(vector) for vector in embed([*texts, *others])]
        return [
            [sum(a * b for a, b in zip(one, other, strict=True)) for other in vectors[len(texts) :]]
            for one in vectors[: len(texts)]
        ]
    weigh = _tf_idf([*background, *texts, *others])
    weighed = [weigh(other) for other in others]
    return [[_cosine(one, other) for other in weighed] for one in map(weigh, texts)]


def _tf_idf(documents: Sequence[str]) -> Callable[[str], dict[str, float]]:
    """Vectors of length 1: log-damped counts times smoothed inverse document frequency."""
    seen = Counter(word for document in documents for word in set(_words(document)))

    def weigh(text: str) -> dict[str, float]:
        counts = Counter(_words(text))
        vector = {
            word: (1 + math.log(count)) * (math.log((1 + len(documents)) / (1 + seen[word])) + 1)
            for word, count in counts.items()
        }
        length = math.sqrt(sum(weight * weight for weight in vector.values()))
        return {word: weight / length for word, weight in vector.items()} if length else {}

    return weigh


def _words(text: str) -> list[str]:
    """Its words in lower case, the plural's s left out."""
    words = _WORD.findall(text.lower().replace("’", "'"))
    return [word.removesuffix("s") if len(word) > 3 else word for word in words if word not in _STOP]  # noqa: PLR2004


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    # In the order of the words, so that the sum's last digit is the same everywhere.
    return sum(weight * other[word] for word, weight in sorted(one.items()) if word in other)


def _unit(vector: Iterable[float]) -> list[float]:
    values = [float(value) for value in vector]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]
