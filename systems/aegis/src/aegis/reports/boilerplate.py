"""Sentences that say nothing of the bank: courtesies, the operator, disclaimers, pointers to documents."""

from __future__ import annotations

import re
from functools import cache

_PATTERNS = (
    # disclaimers and documents
    (
        r"forward[- ]looking|safe harbor|disclaimer|non[- ]?gaap|reconciliation|\bgaap\b|press "
        r"release|earnings (?:release|presentation|deck|materials|document)"
    ),
    (
        r"investor relations|website|webcast|\bwww\b|\.com\b|\bsec\b|\b10-?[kq]\b|8-?k\b|risks? and "
        r"uncertaint|undertake|materially from|cautionary"
    ),
    (
        r"sample (?:call|transcript)|copyright|rebroadcast|reproduced|replay|being recorded|"
        r"supplement(?:al)? (?:schedule|information|analyst)|appendix|footnote"
    ),
    # the operator
    (
        r"operator|listen[- ]only|touch-?tone|keypad|\bpress (?:star|the star|pound|\*|zero|one|1)\b|"
        r"star (?:key|one|1|11|zero|two)\b|\bqueue\b|your lines?\b|line (?:is|of|from)\b.{0,30}\bopen"
    ),
    (
        r"conference call|(?:earnings|today's|the|our|this) call\b|go ahead|please proceed|you may "
        r"(?:proceed|begin|disconnect|now)|disconnect|q ?& ?a|question[- ]and[- ]answer|roster|\bhold "
        r"while\b"
    ),
    r"\bquestions?\b",
    (
        r"prepared (?:remarks|comments)|closing (?:remarks|comments)|opening (?:remarks|comments)|"
        r"remarks\b.{0,40}\b(?:conclude|open)|back to you\b|over to (?:you|[A-Z])"
    ),
    (
        r"turn (?:it|the|things|this|that|now)?.{0,25}\bover\b|hand (?:it|the|things).{0,25}\b(?:over|"
        r"off|back)\b|pass it (?:over|on|back|to)|with that,? (?:i|let|we|operator)"
    ),
    # courtesies
    (
        r"\bthank|\bthanks\b|good (?:morning|afternoon|evening|day)\b|\bwelcome\b|appreciate (?:it|"
        r"that|you|your|the|everyone|all)|pleased to (?:join|be)|joining us|joined by|with me "
        r"(?:today|this)|nice to (?:see|hear|meet)"
    ),
    (
        r"look(?:ing)? forward to (?:speak|talk|see|updat|shar|discuss|tak|answer|your|hear)|congrat|"
        r"have a (?:great|good|nice)|happy (?:birthday|new year|holiday|to (?:take|answer|discuss))|"
        r"\bhi,|\bhey\b|\bhello\b|bye\b|take care\b|best of luck"
    ),
    # talk about the talk
    (
        r"can you hear|you(?:'re| are) (?:on )?mute|didn't catch|repeat the|as (?:i|we) (?:said|"
        r"mentioned|noted|discussed|indicated|talked about)(?: earlier| before)?[.?!]?$|let me "
        r"(?:start|begin|turn|take|add|try|just|walk|cover|spend|move|address|touch|give|provide|hand|"
        r"pass)"
    ),
    (
        r"^(?:now,? |so,? |and,? |next,? )?(?:i'll|i will|let's|let me|i'd like to|i want to|i would "
        r"like to|we'll) (?:now )?(?:turn|start|begin|move|go|look|close|take|cover|discuss|review|"
        r"walk|shift|talk|conclude|switch|wrap|touch|provide|spend)\b(?![^,]*, )"
    ),
    (
        r"^(?:turning|moving|looking|shifting|starting|beginning) (?:now |on |over |next |back |first "
        r"|to |with |at )*(?:(?:the |our )?(?:slide|page|credit|capital|expenses?|fees?|outlook|"
        r"balance sheet|results|next|the)\b)[^,]*\.$"
    ),
    (
        r"(?:on|to|see|at|in) (?:the )?(?:slide|page) (?:\w+)[.]?$|(?:slide|page) \w+ (?:shows|"
        r"provides|highlights|summari[sz]es|outlines|details|covers|lists|has|contains|presents)|"
        r"(?:detailed|shown|outlined|summari[sz]ed|listed|presented|provided|highlighted) (?:on|in) "
        r"(?:the )?(?:slide|page)"
    ),
)
_SPACES = re.compile(r"\s+")


@cache
def _boilerplate() -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)


def is_boilerplate(sentence: str) -> bool:
    """Whether a sentence is for nobody's report: better one good sentence lost than one courtesy quoted."""
    return _boilerplate().search(sentence.replace("’", "'")) is not None
