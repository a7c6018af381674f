"""Who speaks in the prepared remarks, where the call's own hand-overs tell it.

"I'll turn it over to David." names the next speaker only where the next turn confirms it: "Thank you, John."
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis.reports.sentences import Sentence

_OVER = re.compile(r"(?i:\bover to\s+(?:you,?\s+)?)(?P<rest>[^?]*)$")
_NAME = re.compile(r"[A-Z][a-z][\w'’\-]*(?: (?:O['’])?[A-Z][\w'’\-]+){0,2}")
_CONFIRMS = re.compile(
    r"^(?:(?:Great|Okay|All right|Well)[,.]? )?(?:[Tt]hank(?:s| you)(?: so much| very much)?,?|"
    r"Good (?:morning|afternoon|evening),?)"
    r" (?P<name>[A-Z][\w'’\-]+|operator)"
)
_TITLES = frozenset(
    [
        "Chief",
        "Executive",
        "Financial",
        "Officer",
        "Chairman",
        "Chair",
        "President",
        "Chairwoman",
        "Vice",
        "Senior",
        "Head",
        "Director",
        "Investor",
        "Relations",
        "Operating",
        "CEO",
        "CFO",
        "COO",
        "Corporate",
        "Treasurer",
        "Group",
        "And",
        "The",
        "Our",
        "Q&A",
        "Interim",
        "Risk",
        "Mr",
        "Ms",
        "Bank",
        "Banking",
        "Please",
        "Incoming",
        "Founder",
        "Operator",
        "Finance",
    ]
)


@cache
def _title() -> re.Pattern[str]:
    words = "|".join(sorted(map(re.escape, _TITLES), key=len, reverse=True))
    return re.compile(rf"\b(?:{words})\b\.?")


def infer_speakers(sentences: list[Sentence]) -> list[str | None]:
    """For each sentence of the prepared remarks its speaker's name, or None where it is not told."""
    speakers: list[str | None] = []
    current: str | None = None
    announced: str | None = None
    since = 0
    for sentence in sentences:
        if announced is not None or since:
            confirmation = _CONFIRMS.match(sentence.text)
            if confirmation is not None:
                current, announced, since = announced, None, 0
            else:
                since -= 1
                if since <= 0:
                    # Someone took over without a word that confirms whom: from here nobody is named.
                    current, announced, since = None, None, 0
        speakers.append(current)
        over = _OVER.search(sentence.text)
        if over is not None:
            announced = _single_name(over["rest"])
            since = 3
    return speakers


def _single_name(rest: str) -> str | None:
    """The one name after "over to"; None where there is none or more than one."""
    names = {match.group() for match in _NAME.finditer(_title().sub(",", rest.replace("’", "'")))}
    return names.pop() if len(names) == 1 else None
