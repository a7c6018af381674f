"""Which character separates the values of a CSV file."""

from __future__ import annotations

import csv
import io
from typing import Final

from penstock.data.sources.faults import BadInput, Place

CANDIDATES: Final = (",", ";", "\t", "|")
_ROWS: Final = 200


def detected(sample: str, *, whole: bool, quote: str | None, place: Place) -> str:
    """The delimiter that gives most rows as many values as the header has; a comma where the header has one name.

    Args:
        sample: The file from its header on.
        whole: Whether that is all of the file; if not, its last row may be cut.
        quote: The quote character.
        place: What a message calls the file.

    Raises:
        BadInput: Two would do equally well.
    """
    scores: dict[str, tuple[float, int]] = {}
    for candidate in CANDIDATES:
        widths = _widths(sample, candidate, quote, whole=whole)
        if widths and widths[0] > 1:
            scores[candidate] = (widths.count(widths[0]) / len(widths), widths[0])
    if not scores:
        return ","
    best = max(scores.values())
    winners = [candidate for candidate, score in scores.items() if score == best]
    if len(winners) > 1:
        names = " and ".join(repr(winner) for winner in winners)
        raise BadInput(place, f"both {names} could separate its values; say which: delimiter=")
    return winners[0]


def _widths(sample: str, delimiter: str, quote: str | None, *, whole: bool) -> list[int]:
    text = io.StringIO(sample, newline="")
    if quote is None:
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(text, delimiter=delimiter, quotechar=quote)
    widths: list[int] = []
    try:
        for row in reader:
            if row:
                widths.append(len(row))
            if len(widths) == _ROWS:
                return widths
    except csv.Error:  # a value longer than the limit: what was seen before it counts
        return widths
    return widths if whole or len(widths) < 2 else widths[:-1]  # noqa: PLR2004 - the header and a row that may be cut
