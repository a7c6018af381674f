"""What somebody may have meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = ".", quoted: bool = False) -> str:
    """The rest of a sentence about a word that is not known: `; did you mean x?`.

    Args:
        word: What was written.
        known: What there is.
        otherwise: The rest of the sentence where nothing is near.
        quoted: Show the known word as Python would, for messages that show the written one so.
    """
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(word, list(known), n=1)
    if not found:
        return otherwise
    return f"; did you mean {found[0]!r}?" if quoted else f"; did you mean {found[0]}?"
