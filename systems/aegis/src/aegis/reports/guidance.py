"""Statements about what is to come that name a measure and say how much or which way."""

from __future__ import annotations

import re
from functools import cache

from aegis.reports.salience import has_direction, has_quantity

_FORWARD = (
    r"\b(?:expect(?:s|ing|ed to)?|anticipat(?:e|es|ing)|project(?:ing|ed)?|forecast(?:ing)?|"
    r"guiding|(?:our|the) (?:[\w-]+ ){0,4}(?:outlook|guidance|guide|target)\b[\w, -]{0,40}\b(?:is|are|remains?|"
    r"to be|calls?|"
    r"assumes?|of|range|unchanged|between)|(?:rais|increas|reaffirm|lower|reduc|updat|improv|maintain)(?:ed|"
    r"ing) (?:our|the) "
    r"(?:[\w-]+ ){0,4}(?:guidance|guide|outlook)|we (?:now |still |continue to |are |do )?target(?:ing)?|"
    r"should (?:be|see|remain|continue|grow|increase|decline|come|land|trend)|likely (?:to "
    r"be|be)|will be|we see .{0,40} (?:in the range|between)|"
    r"on track (?:to|for)|is expected|are expected|looking (?:for|at) .{0,30}(?:growth|range)|"
    r"plan to (?:repurchase|buy|return|reduce)|we would (?:expect|anticipate))\b"
)
_PAST = (
    r"\b(?:than (?:we |previously |originally )?(?:had )?(?:expected|anticipated)|as (?:we "
    r")?(?:expected|anticipated)|(?:was|were) expected|had (?:expected|anticipated|guided)|in "
    r"line with (?:our )?(?:expectations|guidance)|"
    r"exceeded|better than expected|above (?:our )?(?:expectations|guidance)|consistent with "
    r"(?:our )?(?:expectations|guidance)|previously|(?:was|were|been) (?:sort of |kind of "
    r")?expecting|we (?:guided|expected|anticipated)|prior (?:\w+ ){0,3}(?:outlook|guidance)|"
    r"previous (?:\w+ ){0,2}guidance|expected losses?|projected (?:loss|cash))\b"
)
_NOT_GUIDANCE = (
    r"correlated|for guidance purposes|macro-?economic outlook|economic outlook|record date|"
    r"payable|shareholders of record|weighted average unemployment|unemployment rate|"
    r"(?:expect|anticipate|project)(?:s|ing)? (?:the )?(?:fed\b|federal reserve|fomc)|(?:fed|fomc|market|"
    r"consensus|economists?|forward curve) (?:is |are )?(?:expect|anticipat|project|forecast)|"
    r"\?|if you (?:look|think)|you should(?:n't)? (?:not )?expect|don't think|on today's|"
    r"we will be (?:conducting|happy|taking)|i will be|will "
    r"be (?:referring|discussing|available)|"
    r"\b(?:clients|customers|people|companies|investors) (?:expect|anticipate)"
)
MEASURES: tuple[tuple[str, str], ...] = (
    ("Net interest income", r"net interest income|\bnii\b"),
    ("Net interest margin", r"net interest margin|\bnim\b|\bmargin\b"),
    ("Operating leverage", r"operating leverage|efficiency ratio"),
    ("Expenses", r"expenses?\b|\bcosts? (?:to|of|will|should)\b"),
    (
        "Fees",
        (
            r"non-?interest income|fee (?:income|revenues?)|\bfees\b|capital markets (?:income|revenue)|"
            r"investment banking|wealth management|non-?interest revenue|\bservicing fees"
        ),
    ),
    ("Revenue", r"revenues?\b|earnings per share|\beps\b"),
    ("Net charge-offs", r"charge-?offs?|\bncos?\b|loss rates?|credit (?:losses|costs?)|delinquenc"),
    ("Reserves and provision", r"provision|reserves?\b|allowance"),
    ("Deposits", r"deposits?\b|beta"),
    ("Loans", r"loans?\b|receivables"),
    (
        "Capital",
        r"\bcet-? ?1\b|\bct-?1\b|common equity tier|repurchas|buy-?backs?|capital (?:ratio|return)|dividend|\brwas?\b",
    ),
    ("Returns", r"\brotce\b|return on|\broe\b|tangible common equity"),
    ("Tax rate", r"tax rate"),
)
_FULL_YEAR = r"full[- ]year|for the year|in 20\d\d|\b20\d\d\b|year-over-year"


@cache
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.IGNORECASE)


def guided_measure(sentence: str, *, prepared: bool) -> str | None:
    """The measure that a sentence gives guidance on; None where it is no guidance.

    In answers an amount is asked for: there "should be higher" is conversation.
    """
    text = sentence.replace("’", "'")
    forward = _compiled(_FORWARD).search(text)
    if forward is None or _compiled(_NOT_GUIDANCE).search(text):
        return None
    now = re.search(r"(?i)\bwe (?:now|continue to|still|currently)? ?(?:expect|anticipate|project|forecast)\b", text)
    if _compiled(_PAST).search(text) and now is None:
        return None
    if not has_quantity(text) and not (prepared and has_direction(text)):
        return None
    # The measure is what the forward word speaks of: the first named after it, else the last before it.
    for region in (text[forward.start() :], text[: forward.start()]):
        found = [(match.start(), label) for label, pattern in MEASURES if (match := _compiled(pattern).search(region))]
        if found:
            return min(found)[1]
    return None


def guidance_strength(sentence: str) -> float:
    """What makes one statement of guidance better than another on the same measure."""
    text = sentence.replace("’", "'")
    score = 0.0
    if re.search(
        r"(?i)\b(?:we|i) (?:now |still |continue to |currently )?(?:expect|anticipate|project|forecast|are targeting)",
        text,
    ):
        score += 1.5
    if _compiled(_FULL_YEAR).search(text):
        score += 1.0
    if has_quantity(text):
        score += 1.5
    if re.search(r"(?i)\b(?:now expect|range|between|approximately|roughly|unchanged)\b", text):
        score += 0.7
    return score
