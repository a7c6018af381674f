"""What in a sentence of an exchange speaks for the analyst, and what for management.

Each cue is a pattern with the log-odds that it gives the analyst; negative is for management. The weights are from
reading calls. They are set by hand in steps of about .1, and not fitted to any set of labels.
"""

from __future__ import annotations

import re
from functools import cache

_LONG = 150
"""Characters: who speaks on without asking is more likely management."""

# An address of the other side by name: "Thanks, Glenn", "Yeah, Ryan", "Bruce, can we take a step back".
_ADDRESS = re.compile(
    r"^(?:(?i:and|so|yeah|yep|yes|sure|okay|hey|hi|no|well|look|got it|great|perfect|thanks|thank you|good morning|"
    r"morning|good question|absolutely|listen|again|maybe)[,.]? )*(?P<first>[A-Z][a-z]{2,})[,.]"
    r"|, (?P<last>[A-Z][a-z]{2,})[.,?!]"
)
_THEIRS = -2.2
_OTHERS = 0.7
_NO_NAMES = frozenset(
    [
        "And",
        "But",
        "Yeah",
        "Yes",
        "Yep",
        "Sure",
        "Okay",
        "Well",
        "Look",
        "Hey",
        "Thanks",
        "Thank",
        "Great",
        "Good",
        "Perfect",
        "Obviously",
        "Overall",
        "Again",
        "Absolutely",
        "Now",
        "Second",
        "Secondly",
        "First",
        "Third",
        "Finally",
        "Also",
        "Maybe",
        "Separately",
        "Right",
        "Listen",
        "Understood",
        "Gotcha",
        "Sorry",
        "Exactly",
        "Correct",
        "Importantly",
        "However",
        "Clearly",
        "Morning",
        "Got",
        "Hello",
        "Then",
        "See",
        "Like",
        "Just",
        "One",
        "Two",
        "Three",
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
        "Texas",
        "Florida",
        "Carolinas",
        "Europe",
        "Asia",
        "America",
        "California",
        "Chicago",
        "Basel",
        "Visa",
        "Treasury",
        "Congress",
        "Washington",
        "Fed",
    ]
)

# A colleague is handed the word; "Dennis, do you want to add?" is no question of an analyst.
_COLLEAGUE = re.compile(
    r"(?i)\b(?:want to|wanna|like to|would you|could you|can you|you) (?:add|comment|take (?:that|this|it)|start|chime|"
    r"jump in|speak to that)\b|\banything (?:to add|you(?:['’]d| would) add|on )|\bany (?:further|other|additional) "
    r"comments? you\b|\blet (?:you|\w+) (?:talk|take|start|comment|add|answer|go)\b|\bdid you have (?:another|a)\b|"
    r"\bi(?:['’]ll| will) (?:let|ask|turn|hand)\b"
)
_ASKS_OF_ITSELF = re.compile(r"(?i)\b(?:are|will|did|do|can) we\b(?!.*\byour?\b).*\?$")

_CUES: tuple[tuple[str, float], ...] = (
    (r"\?$", 1.6),
    (r"\b(?:right|correct|okay)\?$", -1.0),
    (r"\b(?:tak\w+|ask\w*) (?:my|the|our|a)(?: \w+)? ?(?:questions?|call)", 2.5),
    (r"\bmy (?:first|second|third|next|last|final|other|follow|question|only|quick)", 2.5),
    (
        (
            r"\b(?:wondering|curious|(?:wanted|want|like|love|hoping|hop(?:e|ing)) to (?:ask|follow|touch|"
            r"get|clarify|dig|circle|go back|start|drill|hear|understand|see if|revisit|pick)|"
            r"hoping (?:that )?(?:you|we))"
        ),
        1.8,
    ),
    (
        (
            r"\b(?:can|could|would|will|did|have|are|were|do) (?:you|we|i) (?:guys |just |please |maybe |"
            r"also |still )?(?:\w+)"
        ),
        0.9,
    ),
    (r"\b(?:can|could) you\b", 1.2),
    (r"\bhow (?:should|do|are|would|much|does|might|will|has|can|big|long) ", 0.9),
    (r"\bwhat (?:are|is|do|would|does|kind|gives|drives|has|should|were|was)\b", 0.6),
    (r"\b(?:any|some|more|additional) (?:color|thoughts|sense|update|detail|perspective|guidance|commentary)", 1.2),
    (r"\b(?:help|give|walk|remind|tell|update) (?:us|me)\b", 1.3),
    (
        (
            r"\byou(?:['’]ve)? (?:guys|mentioned|said|noted|talked|guided|called|highlighted|spoke|"
            r"referenced|laid|alluded|indicated|touched|gave)"
        ),
        1.5,
    ),
    (
        (
            r"\byour (?:guid|prepared|comment|outlook|nii|net|margin|capital|expense|view|thought|slide|"
            r"remark|target|appetite|expectation|cet|loan|deposit|reserve|buyback|fee)"
        ),
        1.2,
    ),
    (
        (
            r"\b(?:follow(?:ing)?[- ]?up|got it|fair enough|makes sense|very helpful|super helpful|that['’]s "
            r"helpful|great color|helpful\b|understood|all (?:right|set))"
        ),
        1.5,
    ),
    (r"^(?:and )?(?:just|i guess|maybe|and then|then|separately|secondly|second|switching|one|also|okay)\b", 0.7),
    (
        (
            r"^(?:and |so |okay,? |great,? )*(?:then )?(?:just |maybe )?(?:on |for |as )?(?:a |my |one |"
            r"the )?(?:quick |last |"
            r"other |separate |final |second )?(?:follow(?:ing)?[- ]?up|question|clarification|clean-?up|"
            r"separately|switching)\b"
        ),
        1.5,
    ),
    (r"^(?:and |so )?(?:then )?(?:let['’]s|maybe we|maybe i|maybe just|maybe to) ", 0.8),
    (r"^is that (?:right|fair|correct)\b|\bis that (?:fair|the right way)", 2.0),
    (
        (
            r"\bi(?:['’]m| am|['’]d| would|['’]ve| have| was| just| guess)(?: also| still| really)? (?:just |kind of "
            r"|sort of )?(?:trying|thinking|wondering|wondered|curious|assuming|hoping|love|heard|hear|wanted|asked)"
        ),
        1.5,
    ),
    (r"\b(?:we['’]d|would) (?:also |just |be )?(?:love|helpful|great|interested)\b", 1.2),
    (r"\b(?:it |that )?(?:sounds|looks|seems|appears) (?:like|to have|that)\b|\bit (?:seems|appears)\b", 0.9),
    (r"\b(?:should|do|can|could|would|might|as|if) we (?:be |just )?(?:think|expect|see|look|assum|underwrit)", 1.8),
    # Not the "you" that is anybody: "when you have", "if you're", "the business that you're acquiring".
    (
        (
            r"(?<!when )(?<!if )(?<!as )(?<!that )(?<!what )(?<!where )(?<!because )(?<!once )"
            r"\byou(?:['’]re|['’]ve| are| have| were| had|['’]ll| don['’]t| think you)\b(?! to\b)(?! got\b)"
        ),
        0.7,
    ),
    (r"\b(?:an?|any|some|your|updated) (?:thoughts?|color|update|perspective|sense)\b", 1.0),
    (r"\b(?:just|maybe|please) talk\b", 1.2),
    (r"\bif you (?:could|would|have any)\b", 1.0),
    (r"\b(?:switch|pivot|shift)(?:ing)? (?:gears|to|over to)\b", 1.5),
    (r"\byou (?:want|expect|see it|feel|plan|look to|anticipate|view)\b|\byou guys\b", 0.6),
    (r"\byour\b(?! question)", 0.6),
    (r"\bthank(?:s| you) for (?:the|that|your|all)\b(?!.*\bquestion)", 1.0),
    (r"\bthanks?(?: you)?(?: so much| very much)?[.!]?$", 0.8),
    (r"\bfor (?:the|that) (?:color|answer|detail|update|time)", 1.6),
    (r"\b(?:thank(?:s| you)) for (?:the|that|your|asking)(?: \w+)? question", -3.0),
    (r"\b(?:good|great|fair|excellent|your|the) (?:first |second |other )?question\b", -1.4),
    (
        (
            r"\bwe(?:['’](?:re|ve|ll|d)| (?:are|were|have|had|think|feel|expect|continue|believe|see|saw|"
            r"do|don['’]t|did|will|would|can|could|still|also|really|just|look|know|want|need|get|got|"
            r"grew|made|said|talked))\b"
        ),
        -1.0,
    ),
    (r"\bour\b", -0.9),
    (r"\bus\b", -0.2),
    (r"^(?:sure|yeah|yes|yep|so|no|well|absolutely|look|listen|hey|exactly|correct|again|you know)\b", -0.7),
    (r"\bi(?:['’]d| would) (?:say|add|just|tell|point|remind|note|characterize)", -1.4),
    (r"\bi (?:think|mean|don['’]t think)\b", -0.4),
    (
        (
            r"\b(?:as (?:i|we) (?:said|mentioned|noted|talked|indicated)|in my (?:prepared|opening)|"
            r"i(?:['’]ll| will) (?:let|ask|turn|start|take|hand))"
        ),
        -1.6,
    ),
    (r"\byou know,", -0.3),
    (r"\b(?:clients|customers|teammates|colleagues|bankers|franchise)\b", -0.4),
)


@cache
def _cues() -> tuple[tuple[re.Pattern[str], float], ...]:
    return tuple((re.compile(pattern, re.IGNORECASE), weight) for pattern, weight in _CUES)


def analyst_odds(sentence: str, analyst: str = "", *, opening: bool = False) -> float:
    """The log-odds that a sentence of an exchange is the analyst's, from its cues alone.

    `analyst` is the name that the operator gave: who says it is most likely not its bearer, unless the sentence is one
    of the exchange's first (`opening`): there an analyst may address a namesake.
    """
    if _COLLEAGUE.search(sentence):
        return -3.0
    odds = sum(weight for pattern, weight in _cues() if pattern.search(sentence))
    odds += _addressed(sentence, analyst, opening=opening)
    if _ASKS_OF_ITSELF.search(sentence):
        odds -= 1.6
    return odds - 0.3 if len(sentence) > _LONG and not sentence.endswith("?") else odds


def _addressed(sentence: str, analyst: str, *, opening: bool) -> float:
    from rapidfuzz import fuzz

    first = analyst.split(" ", maxsplit=1)[0].rstrip(".")
    odds = 0.0
    for match in _ADDRESS.finditer(sentence):
        name = match["first"] or match["last"]
        if name in _NO_NAMES:
            continue
        if first and fuzz.ratio(name.lower(), first.lower()) >= _SAME:
            return 0.0 if opening and match.start("first") == 0 else _THEIRS
        odds = _OTHERS if match["first"] else odds
    return odds


_SAME = 75.0
"""Of 100, by rapidfuzz: names as speech recognition may hear one and the same ("Manan", "Manav")."""
