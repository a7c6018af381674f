"""The words that a report's Markdown and Word share: who says a quote, who asks, what stands at the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aegis.reports.model import Block, CallTranscript, Quality, Quote

NOTHING = {
    "Call Summary": "No sentence of this call was found that says enough to be quoted.",
    "Key Themes": "The transcript holds no questions that were recognised: there are no key themes.",
}
NO_ANSWER = "No sentence of the answer could be quoted."
NO_COUNTERPART = "no statement of this kind was found in the previous call"
FIGURES = "Figures and changes"
COUNTED_THEMES = "Questions by theme"
QUALITY = "Quality of this report"
PASSAGES = "Passages"
EMPTY = "–"
"""A cell of a table without a value."""


def provenance(writer: str, *, speakers_known: bool = False) -> str:
    """How the report was made, for its head."""
    if speakers_known:
        return (
            f"Written by the {writer} writer: every quote is verbatim from the transcript, which names its speakers. "
            "A quote's place is its speech, counted from the transcript's first, and the characters of that speech."
        )
    return (
        f"Written by the {writer} writer: every quote is verbatim from the transcript, which was made by speech "
        "recognition. Names of speakers marked “inferred” are taken from the call's hand-overs."
    )


def notices(transcript: CallTranscript) -> list[str]:
    """What a reader must know before reading, of this call and of the one it is compared with."""
    found = [transcript.notice] if transcript.notice else []
    if transcript.previous is not None and transcript.previous.notice:
        found.append(f"Of the previous call, {transcript.previous.period}: {transcript.previous.notice}")
    return found


def compared_with(transcript: CallTranscript) -> str:
    """Which call this one is compared with."""
    if transcript.previous is None:
        return f"nothing, since no call of {transcript.period_before} is held"
    return f"the previous call, {transcript.previous.period}"


def place_of(quote: Quote) -> str:
    """The part of the call in which a quote is said."""
    return "prepared remarks" if quote.part == "prepared" else "questions and answers"


def speaker(quote: Quote) -> str:
    """Who says a quote: `David (inferred)`, or with the title where the transcript names it: `David Mae, Chair`."""
    if quote.title:
        return f"{quote.speaker}, {quote.title}"
    return f"{quote.speaker}{' (inferred)' if quote.speaker_inferred else ''}"


def attribution(quote: Quote) -> str:
    """Who says a quote and where: `prepared remarks, David (inferred)`."""
    return f"{place_of(quote)}, {speaker(quote)}"


def asker(block: Block) -> str:
    """Who asks: the normalised name and firm, and as heard where that differs."""
    name, firm = block.analyst or "An analyst", block.firm
    heard = [
        said
        for said, normal in ((block.analyst_heard, block.analyst), (block.firm_heard, firm))
        if said and said != normal
    ]
    said = f" (as heard: {', '.join(heard)})" if heard else ""
    return f"{name}, {firm}{said}" if firm else f"{name}{said}"


def shown(quote: Quote) -> str:
    """A quote's words on one line; the verbatim text, line breaks included, is in the transcript's page."""
    return " ".join(quote.text.split())


def counted(number: int, thing: str) -> str:
    """`1 question`, `3 questions`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """A share with what it is of: `12 of 30 (40 %)`."""
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "none"


def speakers(quality: Quality) -> str:
    """How the names of management's speakers are known."""
    if quality.speakers_known:
        return "named by the transcript"
    return f"name inferred in {share(quality.inferred, quality.managements)} quotes of management"


def trust(quality: Quality) -> list[tuple[str, str]]:
    """The figures by which a reader trusts a report or not, each with its name."""
    rows = [
        ("Words in the transcript", f"{quality.words:,}"),
        ("Statements quoted", share(quality.statements.kept, quality.statements.considered)),
    ]
    if quality.questions is not None:
        rows.append(("Exchanges with a question quoted", share(quality.questions.kept, quality.questions.considered)))
    rows += [
        ("Management's quotes that carry a quantity", share(quality.with_quantity, quality.managements)),
        ("Speakers", speakers(quality)),
    ]
    if quality.guidance:
        compared = share(quality.compared, quality.guidance) if quality.previous else "not compared: none is held"
        rows.append(("Statements of guidance with a counterpart in the previous call", compared))
    if quality.model is not None:
        asked = f"{quality.model.asked_again}, of which {quality.model.given_up} in vain"
        rows += [("Quotes that were asked for again", asked), ("Cost, US dollars", f"{quality.model.cost_usd:f}")]
    if quality.empty_sections:
        rows.append(("Topics without a quote", ", ".join(quality.empty_sections)))
    return rows
