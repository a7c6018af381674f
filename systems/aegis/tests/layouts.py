"""Transcripts of the JSON layout for tests: one written by hand with all its oddities, and plain ones converted."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from aegis.reports.analysis import Analysis
from aegis.reports.turns import Utterance

ODD: dict[str, Any] = {
    "header_texts": ["Royal Bank of Canada (RY)", "Q2 2025 Earnings Call", "May 29, 2025, 8:30 a.m. ET", None],
    "prepared_remarks": [
        {
            "speaker": "Operator",
            "speech": "Good morning, and welcome to the Royal Bank of Canada second quarter 2025 earnings conference "
            "call. [Operator instructions] I would now like to turn the call over to Asha Nordin.",
        },
        {"speaker": "Prepared Remarks:", "speech": ""},
        {
            "speaker": "Asha Nordin -- Head of Investor Relations",
            "speech": "Thank you, operator, and good morning. Our remarks contain forward-looking statements.",
        },
        {
            "speaker": "Dave McKay",
            "speech": "Thank you, Asha, and good morning, everyone. Today we reported net income of $4.4 billion, up "
            "11% from a year ago. Our CET1 ratio was 13.2%, up 20 basis points from the prior quarter. "
            "[Technical difficulty] We added 120 advisers in wealth management this quarter.",
        },
        {
            "speaker": "Katherine Gibson",
            "speech": "Net interest income rose 6% from last year to $8.1 billion.\r\nOur net interest margin of "
            "1.64% [indiscernible] was up 3 basis points from last quarter. We now expect full year 2025 net "
            "interest income to grow between 3% and 5%. We expect expenses to increase 4% to 6% for the year. "
            "Provision for credit losses of $1.4 billion rose 28% from last quarter.",
        },
        None,
    ],
    "q_and_a": [
        {
            "speaker": "Operator",
            "speech": "[Operator instructions] Our first question comes from the line of Ebrahim Poonawala with Bank "
            "of America. Your line is open.",
        },
        {
            "speaker": "Ebrahim Poonawala",
            "speech": "Good morning. Could you talk about how you think about share buybacks given a CET1 ratio above "
            "13%, and where would you like that ratio to settle?",
        },
        {
            "speaker": "Katherine Gibson",
            "speech": "Good morning, Ebrahim. We repurchased 4 million shares for $700 million in the quarter. We "
            "expect our CET1 ratio to settle near 12.5% over the next two years.",
        },
        {"speaker": "Ebrahim Poonawala", "speech": "Got it. Thank you."},
        {"speaker": None, "speech": "We always wanted an 80% payout ratio, and that is what we now see in the market."},
        {
            "speaker": "Operator",
            "speech": "Your next question comes from the line of Zoë Fairweather from Lakeshore Partners.",
        },
        {
            "speaker": "Zoe Fairweather",
            "speech": "Hi. Can you give us some color on deposit costs and how much lower the deposit beta might go?",
        },
        {
            "speaker": "Neil McLaughlin",
            "speech": "Our deposit costs declined 12 basis points from the prior quarter, and we see a beta of 45%.",
        },
        {
            "speaker": "Operator",
            "speech": "There are no further questions. This concludes today's call. You may now disconnect.",
        },
        {"speaker": "Duration: 79 minutes", "speech": ""},
        {"speaker": "Call participants:", "speech": "Dave McKay -- President and Chief Executive Officer"},
    ],
    "participants": [
        "Call participants:",
        "Asha Nordin--Head of Investor Relations",
        "David McKay--President and Chief Executive Officer",
        "Katherine Gibson -- Chief Financial Officer",
        "Ebrahim Poonawala--Bank of America Merrill Lynch -- Analyst",
        "",
        "Duration: 79 minutes",
    ],
}


def odd(**changes: Any) -> dict[str, Any]:
    """A copy of the hand-written call with other keys; `...` takes one out."""
    copy: dict[str, Any] = {**json.loads(json.dumps(ODD)), **changes}
    return {key: value for key, value in copy.items() if value is not ...}


def data(content: Any) -> bytes:
    """The bytes of a file."""
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def converted(text: str, header: str, chief: str = "Jane Doe") -> dict[str, Any]:
    """A plain transcript's text as a file of the layout, with the speakers that reading it tells."""
    analysis = Analysis(text)
    lists: dict[str, list[dict[str, str]]] = {"prepared": [], "q_and_a": []}
    people = {chief: "Chief Executive Officer"}

    def turn(one: Utterance) -> tuple[str, int, str, str]:
        return one.part, one.exchange, one.role, one.speaker

    for (part, exchange, role, speaker), members in groupby(analysis.utterances, key=turn):
        said = list(members)
        name = "Operator" if role == "operator" else chief if speaker == "Management" else speaker
        if role == "analyst":
            handoff = analysis.handoffs[exchange] if exchange >= 0 else None
            name = handoff.name if handoff else "Unidentified Analyst"
            people[name] = f"{handoff.firm or 'Elsewhere'} -- Analyst" if handoff else "Analyst"
        elif role == "management":
            people.setdefault(name, "Executive Vice President")
        words = text[said[0].sentence.start : said[-1].sentence.end]
        lists[part].append({"speaker": name, "speech": words})
    return {
        "header_texts": [header],
        "prepared_remarks": lists["prepared"],
        "q_and_a": lists["q_and_a"],
        "participants": [f"{name}--{what}" for name, what in people.items()],
    }
