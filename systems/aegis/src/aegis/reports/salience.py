"""How much a sentence tells: numbers and change say more than adjectives, and a sentence must stand by itself."""

from __future__ import annotations

import re
from functools import cache

_NUMBER = (
    r"[\$€£]\s?\d|\b\d[\d,.]*\s?(?:%|percent|percentage|basis points?|bps|bips|billion|million|"
    r"trillion|cents?|bn|mm|x\b|times)|"
    r"\b(?:low|mid|high|upper|lower)(?:[- ]to[- ](?:low|mid|high|upper))?[- ]?(?:to[- "
    r"])?(?:single|double|teen|\d{1,3}s?)\b[- ]?(?:digits?)?|"
    r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten) (?:percent|billion|million|basis|"
    r"cents)|\bmid-?teens\b|\b\d[\d,]*\.\d|"
    r"\b\d{1,3},\d{3}\b|\b\d+ to \d+\b|\b(?:double|doubled|"
    r"(?<!second )(?<!first )(?<!back )(?<!front )half(?! of (?:the year|20))|a third|a quarter of)\b"
)
_DIRECTION = (
    r"\b(?:stable|flat|unchanged|flattish|modest(?:ly)?|slightly|relatively "
    r"stable)\b.{0,25}\b(?:up|down|higher|lower|growth|increase|decline)?|"
    r"\b(?:higher|lower|increas\w*|decreas\w*|declin\w*|gr[oe]w\w*|improv\w*|rise|rising|rose|"
    r"fell|moderat\w*|upper end|lower end|high end|low end)\b"
)
_CHANGE = (
    r"\b(?:up|down|increas\w+|decreas\w+|declin\w+|gr[eo]w\w*|rose|fell|improv\w+|compared (?:to|"
    r"with)|versus|year[- ]over[- ]year|"
    r"year[- ]on[- ]year|linked[- ]quarter|link quarter|sequential\w*|quarter[- ]over[- ]quarter|"
    r"prior (?:year|quarter)|from a year ago|record)\b"
)
_FIRM_WIDE = r"\b(?:total|firm-?wide|company|our|we|overall|net)\b"
_LEANS = (
    r"^(?:that|this|it|its|it's|they|those|these|and that|so that|which|and it|but that|he|she|"
    r"there|here|also|or|because|not|of|driven|with|excluding that)\b"
)
_SPOKEN = (
    r"\b(?:you know|kind of|sort of|i mean|uh|um|i guess|if you will|gonna|right,|like,|pretty|"
    r"obviously|stuff|guys|a lot)\b"
)

_LONG = 45
_COMFORTABLE = (10, 32)  # words that are read at once
SHORTEST = 7
"""Words that a quote has at least."""


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def has_quantity(sentence: str) -> bool:
    """Whether a sentence carries an amount; "mid-teens" and "high single digit" are amounts."""
    return _pattern(_NUMBER).search(sentence) is not None


def has_direction(sentence: str) -> bool:
    """Whether a sentence says where something goes: "stable to modestly higher"."""
    return _pattern(_DIRECTION).search(sentence) is not None


def salience(sentence: str, *, prepared: bool, position: float) -> float:
    """How much a sentence tells, from about -3 to 7. `position` is its place in the call, 0 to 1."""
    words = sentence.count(" ") + 1
    score = 0.0
    if has_quantity(sentence):
        score += 2.5
    if _pattern(_CHANGE).search(sentence):
        score += 1.0
    if _pattern(_FIRM_WIDE).search(sentence):
        score += 0.6
    if prepared:
        score += 1.2
    score += 0.6 * (1.0 - position)
    if _pattern(_LEANS).search(sentence):
        score -= 1.4
    if not sentence[:1].isupper() and not sentence[:1].isdigit() and sentence[:1] != "$":
        score -= 1.0
    if sentence[-1:] not in ".!":
        score -= 1.5
    score -= min(2.0, 0.7 * len(_pattern(_SPOKEN).findall(sentence)))
    if words < SHORTEST:
        score -= 2.0
    elif words > _LONG:
        score -= 1.0
    elif _COMFORTABLE[0] <= words <= _COMFORTABLE[1]:
        score += 0.4
    return score
