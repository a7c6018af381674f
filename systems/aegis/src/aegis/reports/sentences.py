"""Sentences with their offsets: `text[start:end]` is the sentence, always."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 75
"""Words. A longer "sentence" is several that lost their punctuation: it is split at a clause, or not quoted."""

# Where the segmenter glues: "…rose to 1.80%. Annualized", "on slide 10. Turning", "in Q2. We".
_GLUED = re.compile(r"(?<=[\w%)][.!?])\s+(?=[A-Z])")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|Mr|Ms|Mrs|Dr|St|vs|Inc|Corp|Co|No|approx|Jr|Sr)\.)$")
_CLAUSE = re.compile(
    r"(?:[;,]|(?<=\w))\s+(?=(?:and so|and then|and|but|so|because) (?:we|our|the|i|it|that|in|as|if)\b)", re.IGNORECASE
)
_CLAUSE_MINIMUM = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence's place and text."""

    start: int
    end: int
    text: str

    @property
    def words(self) -> int:
        """Words between spaces."""
        return self.text.count(" ") + 1


def split_sentences(text: str, borders: list[int]) -> list[Sentence]:
    """The sentences of a text in order. No sentence crosses one of `borders` (offsets, ascending)."""
    from syntok.segmenter import analyze  # pyright: ignore[reportUnknownVariableType]  # the package has no types

    starts = {0, *borders}
    for paragraph in analyze(text):
        starts.update(tokens[0].offset for tokens in paragraph if tokens)
    for match in _GLUED.finditer(text):
        if not _ABBREVIATION.search(text, max(0, match.start() - 8), match.start()):
            starts.add(match.end())
    ordered = sorted(start for start in starts if start < len(text))
    sentences: list[Sentence] = []
    for start, end in zip(ordered, [*ordered[1:], len(text)], strict=True):
        sentence = _trimmed(text, start, end)
        if sentence is None:
            continue
        if sentence.words > LONGEST:
            sentences += _clauses(text, sentence)
        else:
            sentences.append(sentence)
    return sentences


def _clauses(text: str, sentence: Sentence) -> list[Sentence]:
    """A run-on sentence at its clauses, each of some words; one without clauses as it is."""
    pieces: list[Sentence] = []
    start = sentence.start
    for match in _CLAUSE.finditer(text, sentence.start, sentence.end):
        piece = _trimmed(text, start, match.end())
        if piece is not None and piece.words >= _CLAUSE_MINIMUM:
            pieces.append(piece)
            start = match.end()
    last = _trimmed(text, start, sentence.end)
    return [*pieces, last] if last is not None else pieces


def _trimmed(text: str, start: int, end: int) -> Sentence | None:
    raw = text[start:end]
    stripped = raw.strip()
    if not stripped:
        return None
    start += len(raw) - len(raw.lstrip())
    return Sentence(start=start, end=start + len(stripped), text=stripped)
