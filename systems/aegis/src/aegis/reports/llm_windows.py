"""What of a transcript a language model is shown at once.

The whole, if it fits; the parts of a request then begin alike for every topic, which vendors bill at their price for
cached tokens. Else windows, cut where the speaker changes, so that a question keeps its answer as long as both fit;
a turn that is too long by itself is cut between two sentences. Each window is asked on its own, and what they give is
put together by salience.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from aegis.reports.llm_quotes import Span

if TYPE_CHECKING:
    from aegis.reports.analysis import Analysis


def windows(text: str, analysis: Analysis, room: int) -> list[Span]:
    """Parts of the text that cover it in order, none of more than `room` bytes in UTF-8.

    Args:
        text: The transcript.
        analysis: Its reading.
        room: Bytes that fit into one request.

    Raises:
        ValueError: One sentence alone has more.
    """
    if _size(text) <= room:
        return [Span(start=0, end=len(text))]
    found: list[Span] = []
    for span in _pieces(text, analysis, room):
        if found and _size(text[found[-1].start : span.end]) <= room:
            found[-1] = Span(start=found[-1].start, end=span.end)
        else:
            found.append(span)
    return found


def _pieces(text: str, analysis: Analysis, room: int) -> list[Span]:
    """Prepared turns and exchanges; where one is too long its turns, and at last its sentences."""
    by_exchange = [(one.sentence.start, (one.part, one.exchange)) for one in analysis.utterances]
    by_turn = [(one.sentence.start, (one.exchange, one.role, one.speaker)) for one in analysis.utterances]
    sentences = [(one.sentence.start, one.sentence.start) for one in analysis.utterances]
    pieces = [Span(start=0, end=len(text))]
    for marks in (by_exchange, by_turn, sentences):
        borders = [
            start for (start, mark), before in zip(marks, [None, *marks], strict=False) if _changes(mark, before)
        ]
        pieces = [part for piece in pieces for part in _cut(piece, borders, text, room)]
    for piece in pieces:
        if _size(text[piece.start : piece.end]) > room:
            msg = f"the sentence at {piece.start} has {_size(text[piece.start : piece.end])} bytes, and {room} fit"
            raise ValueError(msg)
    return pieces


def _changes(mark: object, before: tuple[int, object] | None) -> bool:
    return before is None or before[1] != mark


def _cut(piece: Span, borders: list[int], text: str, room: int) -> list[Span]:
    if _size(text[piece.start : piece.end]) <= room:
        return [piece]
    inside = [border for border in borders if piece.start < border < piece.end]
    places = [piece.start, *inside, piece.end]
    return [Span(start=start, end=end) for start, end in pairwise(places)]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
