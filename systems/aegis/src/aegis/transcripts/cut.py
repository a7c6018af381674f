"""Whether a transcript holds a whole call: its opening, its questions and its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aegis.transcripts.handoffs import find_handoffs
from aegis.transcripts.speeches import stage_directions

if TYPE_CHECKING:
    from aegis.transcripts.speeches import SpokenText

MINIMUM_WORDS = 1_500
"""Fewer words than this are part of a call: the shortest whole call seen has about 5,000 words, a sample 2,500."""
HEAD = 2_500
"""Characters in which an opening is looked for."""
TAIL = 450
"""Characters in which an end is looked for."""

_OPENING = re.compile(
    r"(?i)\bwelcome\b|listen[- ]only|good (?:morning|afternoon|evening|day)[,.]? (?:and|everyone|"
    r"everybody|all|my name|ladies)|"
    r"being recorded|forward[- ]looking|(?:turn|hand) (?:the|this|today['’]s) (?:\w+ )?(?:call|conference|program)|"
    r"(?:thank you|thanks)(?: all)? for joining|prepared remarks"
)
_END = re.compile(
    r"(?i)disconnect|conclud|good (?:day|night|afternoon)|goodbye|great day|wonderful|\bbye\b|have a|thank(?:s| you)|"
    r"take care|access code|next quarter|your day"
)
_LAST_WORDS = re.compile(r"(?i)(?:disconnect|great day|good day|goodbye|thank you|your day)[\w ,]{0,40}$")
_SENTENCE_ENDS = re.compile(r"[.!?…][\"”')\]]*\s*$")


def cut(text: str, words: int, spoken: SpokenText | None = None) -> str | None:
    """What is missing of the call, as one sentence for the head of a report; None for a whole call.

    Where the file names its speakers (`spoken`), they tell whether there are remarks and questions.
    """
    missing: list[str] = []
    if words < MINIMUM_WORDS:
        missing.append(f"it has only {words:,} words")
    if not _OPENING.search(text, 0, HEAD):
        missing.append("it starts in the middle of the call")
    if spoken is not None and not spoken.prepared:
        missing.append("it holds no prepared remarks")
    if not (find_handoffs(text) if spoken is None else spoken.asked):
        missing.append("it holds no questions and answers")
    tail = text[-TAIL:]
    if spoken is not None:
        # "[Operator signoff]" at the very end is not the call's last sentence.
        for start, end in reversed(stage_directions(tail)):
            tail = f"{tail[:start]}{tail[end:]}"
        tail = tail.rstrip()
    closed = _END.search(tail) is not None
    if (
        not closed
        or (not _SENTENCE_ENDS.search(tail) and not _LAST_WORDS.search(tail))
        or re.search(r"next question\.\s*$", tail)
    ):
        missing.append("it ends before the call does")
    if not missing:
        return None
    return f"The transcript is incomplete: {', '.join(missing)}."
