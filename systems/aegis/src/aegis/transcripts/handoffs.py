"""The operator's hand-offs in a call: "our next question comes from the line of NAME with FIRM, your line is open".

Found in the text by pattern, since a transcript has neither labels nor lines. Where speech recognition lost the
capitals as well, a second and stricter set of patterns reads lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_NAME = r"(?:(?:Mr|Ms|Dr)\.\s+)?[A-Z][\w'’\-]*\.?(?:\s+(?:de\s+|van\s+|von\s+|St\.\s+)?[A-Z][\w'’\-]*){0,3}"
_FIRM = r"(?:[A-Z]\.)*[A-Z][\w&'’\-]*(?:,?\s+(?:(?:and|of|&|the)\s+)?(?:[A-Z]\.)*[A-Z0-9][\w&'’\-]*){0,5}"
_LOWER_NAME = r"[a-z][a-z'’\-]+(?:\s+[a-z'’\-]+){0,2}?"
_LOWER_FIRM = r"[a-z][\w.&'’\-]*(?:\s+[\w.&'’\-]+){0,3}?"

# How a hand-off opens, up to the name. Case is free here and not in the name: a capital is what ends "from our".
_OPENING = (
    r"(?i:\b(?:"
    # "your next question comes from", "the first question today will be from", "our last question is from"
    r"(?:(?:(?:and\s+)?(?:the|our|your|we['’]ll take our|i['’]ll take our)\s+)?(?:first|second|"
    r"third|next|last|final|following|another|one more|1st)\s+(?:question|caller|response)s?|"
    r"(?:the|our|your|a|that)\s+questions?)"
    r"(?:\s+(?:today|now|for today|this (?:morning|afternoon|evening)|on the line|in the queue))?,?"
    r"(?:\s+(?:will|would|is|are|comes?|coming|come|has|goes|going|to|be|being|also|now|today|next|again|it)){0,5}"
    r"(?:\s+(?:from|of|by|with))?"
    # "we'll go next to", "we'll take our first question from", "let's move to", "I'll go to"
    r"|(?:we|i)(?:['’]ll|\s+will|\s+can|\s+have|['’]re going to)?(?:\s+(?:now|just|next|also))*\s+"
    r"(?:take|go|move|return|turn|hear|open|proceed|get|have)(?:\s+(?:back|on|over|now|next|first|again|ahead|"
    r"this morning|our|the|your|an?|to|in|with|first|second|third|last|final|questions?|follow[- "
    r"]up))*\s*(?:to|from|with|is|of)"
    r"|(?:up next|next up|next|first up|and next)(?:\s+(?:is|we have|we(?:['’]ll| will) (?:go to|"
    r"hear from|move to|take)|in (?:line|queue) is))"
    r"|(?:question(?:s)?\s+(?:comes?|is|will (?:come|be))|moving on)\s+(?:from|to)"
    r"|(?:go|move|turn|proceed)(?:\s+(?:on|now|next))*\s+to"
    r")(?:\s*(?:\.{2,}|…|,))?\s+(?:the\s+)?(?:(?:phone\s+)?line\s+(?:of|with|from)\s+|(?:the\s+)?site of\s+|"
    r"an?\s+(?:analyst|question)\s+from\s+)?)"
)
_NUMBERED = (
    r"(?i:\b(?:first|next|last|final|another) question(?:\s+(?:today|is|will|comes?|be|now|going|to)){0,4}\s+from\s+"
    r"(?:the\s+line\s+of\s+)?)"
)
_FULL_NAME = r"[A-Z][\w'’\-]+(?:\s+[A-Z][\w'’\-]*\.?)?\s+[A-Z][\w'’\-]+"
_FROM = r"(?i:,?\s+(?:with|from|of|at|for|representing)\s+)(?:the\s+)?"
_OPEN_LINE = (
    r"(?i:[\s.,;]*(?:(?:and\s+)?(?:your|his|her|the)\s+line\s+is\s+(?:now\s+|"
    r"currently\s+)?(?:open|not open|live|unmuted|opened)|"
    r"line is (?:now )?open|please\s+(?:go\s+ahead|proceed|ask|state|unmute|begin|"
    r"press)[^.?!]{0,60}|(?:you|he|she)\s+(?:may|can|might)\s+(?:now\s+)?(?:proceed|begin|go "
    r"ahead|ask|unmute)[^.?!]{0,40}|"
    r"go ahead(?:,?\s+(?:please|sir|ma['’]am))?)[.,!]?)"
)


@dataclass(frozen=True, kw_only=True)
class Handoff:
    """One hand-off: the operator's words are `text[start:end]`; name and firm are as heard, either may be empty.

    `known` says that the transcript's file names them: then they are not as heard, but right.
    """

    start: int
    end: int
    name: str
    firm: str
    known: bool = False


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    firm = rf"{_FROM}(?P<firm>{_FIRM})"
    lower_firm = rf"{_FROM}(?P<firm>{_LOWER_FIRM})"
    return (
        re.compile(rf"{_OPENING}(?P<name>{_NAME}){firm}(?P<line>(?:{_OPEN_LINE})*)"),
        # No firm: then the line must be opened, or the name be introduced as that of a question.
        re.compile(rf"{_OPENING}(?P<name>{_NAME})(?P<firm>)(?P<line>(?:{_OPEN_LINE})+)"),
        # A name and a firm with the line opened at once, whatever came before.
        # From the start of a word only: in a run of capitals every one would be tried, each as far as the run goes.
        re.compile(rf"(?<![\w'’\-])(?P<name>{_NAME}){firm}(?P<line>(?:{_OPEN_LINE})+)"),
        # No firm, or one that lost its capitals, and no word of the line: then a numbered question, to its full stop.
        re.compile(rf"{_NUMBERED}(?P<name>{_FULL_NAME})(?:{_FROM}(?P<firm>{_LOWER_FIRM}))?(?P<line>)(?=[.]\s)"),
        re.compile(rf"{_OPENING}(?P<name>{_LOWER_NAME}){lower_firm}(?P<line>(?:{_OPEN_LINE})+)"),
    )


# Words that a pattern takes for a name: starts of sentences, and the titles of an introduction ("Jeff Norris, Senior
# Vice President of Finance, please go ahead").
_NOT_NAMES = frozenset(
    [
        "I",
        "We",
        "You",
        "The",
        "A",
        "An",
        "It",
        "That",
        "This",
        "Page",
        "Slide",
        "Q",
        "Question",
        "Questions",
        "Thank",
        "Thanks",
        "Good",
        "Hi",
        "Hey",
        "So",
        "And",
        "But",
        "Yes",
        "Our",
        "In",
        "On",
        "At",
        "Q1",
        "Q2",
        "Q3",
        "Q4",
        "Chairman",
        "President",
        "Chief",
        "First",
        "Second",
        "Third",
        "Fourth",
        "Next",
        "Now",
        "Or",
        "If",
        "As",
        "Senior",
        "Vice",
        "Executive",
        "Director",
        "Head",
        "Officer",
        "Managing",
        "Investor",
        "Deputy",
        "CEO",
        "CFO",
        "Operator",
        "Please",
        "Here",
        "There",
        "What",
        "Just",
        "Well",
        "Okay",
    ]
)
_NOT_FIRMS = ("Investor Relations", "Finance", "IR", "Closing", "Corporate")


def find_handoffs(text: str) -> list[Handoff]:
    """The hand-offs of a call in order, without overlaps. Linear in the text; empty where there are none."""
    found: list[Handoff] = []
    for pattern in _patterns():
        for match in pattern.finditer(text):
            first = match["name"].split()[0].rstrip(".,")
            if first in _NOT_NAMES or (match["firm"] or "").startswith(_NOT_FIRMS) or not _plausible(text, match):
                continue
            if all(match.end() <= other.start or match.start() >= other.end for other in found):
                found.append(
                    Handoff(
                        start=match.start(),
                        end=match.end(),
                        name=match["name"].strip(" ,."),
                        firm=(match["firm"] or "").strip(" ,."),
                    )
                )
    return sorted(found, key=lambda handoff: handoff.start)


_FOLLOWING = 120
_LINE_OPENS = re.compile(_OPEN_LINE)
_GREETING = re.compile(
    r"(?i)[\s.,]*(?:hi|hey|hello|good|great|yeah|yes|thanks?|morning|okay|oh|perfect|guys|sure|so|"
    r"ok|my|first|afternoon|evening|just|can|could|i|wanted)\b"
)
_QUESTION_WORD = re.compile(r"(?i)\bquestion|\bcaller\b|\bline of\b|up next|next up")


def _plausible(text: str, match: re.Match[str]) -> bool:
    """A hand-off either speaks of a question or a line, or the line is opened, or a greeting answers it.

    Without this, "we move to Charlotte from Atlanta" would be one.
    """
    if match["line"] or _QUESTION_WORD.search(match.group()):
        return True
    if _LINE_OPENS.match(_after_name(text, match)):
        return True
    return _GREETING.match(text, match.end()) is not None and bool(match["firm"])


def _after_name(text: str, match: re.Match[str]) -> str:
    """What follows, without the first name where it comes again: "of Autonomous Research. Ken, please go ahead."."""
    following = text[match.end() : match.end() + _FOLLOWING].lstrip(" \n\t.,")
    return following.removeprefix(match["name"].split()[0]).lstrip(" ,")
