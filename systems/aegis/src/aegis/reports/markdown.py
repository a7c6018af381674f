"""A report as Markdown: every quote with its speaker and a link to its place in the transcript."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aegis.reports.page import link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aegis.reports.model import Block, CallTranscript, Quote, Section

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")
NOTHING = {
    "Call Summary": "No sentence of this call was found that says enough to be quoted.",
    "Key Themes": "The transcript holds no questions that were recognised: there are no key themes.",
}


def render_markdown(sections: Sequence[Section], transcript: CallTranscript, report_type: str, writer: str) -> str:
    """The report. Sections without blocks are left out; a report without any says so."""
    lines = [
        (
            f"# {_escape(transcript.bank_name)} ({_escape(transcript.bank_symbol)}): {report_type}, "
            f"{transcript.fiscal_year} {transcript.quarter}"
        ),
        "",
    ]
    if transcript.notice:
        lines += [f"> **Notice.** {_escape(transcript.notice)}", ""]
    lines += [f"*{provenance(writer, speakers_known=bool(transcript.speeches))}*", ""]
    filled = [section for section in sections if section.blocks]
    if not filled:
        lines += [NOTHING.get(report_type, "Nothing was found."), ""]
    for section in filled:
        lines += [f"## {_escape(section.title)}", ""]
        for block in section.blocks:
            lines += _question(block, block.question, transcript) if block.question else _point(block, transcript)
    lines += ["---", "", f"Transcript SHA-256 `{transcript.sha256}`.", ""]
    return "\n".join(lines)


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


def attribution(quote: Quote) -> str:
    """Who says a quote and where: `prepared remarks, David (inferred)`."""
    place = "prepared remarks" if quote.part == "prepared" else "questions and answers"
    return f"{place}, {speaker(quote)}{' (inferred)' if quote.speaker_inferred else ''}"


def speaker(quote: Quote) -> str:
    """Who says a quote, with the title where the transcript names it."""
    return f"{quote.speaker}, {quote.title}" if quote.title else quote.speaker


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


def locator(quote: Quote) -> str:
    """A quote's place: the characters of the transcript, or of its speech, from the first to the one after the last."""
    if quote.speech is not None and quote.offset is not None:
        return f"speech {quote.speech}, chars {quote.offset}–{quote.offset + len(quote.text)}"
    return f"chars {quote.start}–{quote.end}"


def shown(quote: Quote) -> str:
    """A quote's words on one line; the verbatim text, line breaks included, is in the transcript's page."""
    return " ".join(quote.text.split())


def _point(block: Block, transcript: CallTranscript) -> list[str]:
    lines: list[str] = []
    for index, quote in enumerate(block.quotes):
        label = f"**{_escape(block.label)}.** " if index == 0 else ""
        lines += [f"{label}“{_escape(shown(quote))}” {_place(quote, transcript)}", ""]
    return lines


def _question(block: Block, asked: Quote, transcript: CallTranscript) -> list[str]:
    lines = [
        f"**Q** {_escape(asker(block))}: “{_escape(shown(asked))}” [{locator(asked)}]({link(transcript, asked.start)})",
        "",
    ]
    for quote in block.quotes:
        lines += [
            (
                f"**A** {_escape(speaker(quote))}: “{_escape(shown(quote))}” "
                f"[{locator(quote)}]({link(transcript, quote.start)})"
            ),
            "",
        ]
    if not block.quotes:
        lines += ["**A** *No sentence of the answer could be quoted.*", ""]
    return lines


def _place(quote: Quote, transcript: CallTranscript) -> str:
    return f"({_escape(attribution(quote))}; [{locator(quote)}]({link(transcript, quote.start)}))"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
