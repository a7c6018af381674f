"""The transcript as a page with an anchor at every sentence, to which the quotes of a report link.

The text of its `main` element is the transcript, character for character: nothing is added between the tags.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse
from aegis.reports.places import anchors

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript
    from aegis.transcripts.model import Speech

_STYLE = (
    "body{font:1rem/1.6 Georgia,serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff}"
    "h1{font-size:1.3rem}main p{margin:0 0 1rem;white-space:pre-wrap}span:target{background:#ffe9a8}"
    "p[data-speech]::before{content:attr(data-speech);display:block;font:600 .85rem/1.4 sans-serif;color:#44546a}"
    "aside{border-left:4px solid #b45309;padding:.4rem .8rem;margin:1rem 0;background:#fef7e6}"
)


def render_page(transcript: CallTranscript) -> str:
    """The page. Every sentence is anchored, so that the page is the same for every report on the transcript."""
    analysis = analyse(transcript)
    title = escape(f"{transcript.bank_name}, {transcript.fiscal_year} {transcript.quarter}: transcript")
    text = transcript.text
    speeches = {speech.start: speech for speech in transcript.speeches}
    ordered = anchors(transcript)
    turns: set[int] = set()
    before: tuple[str, int, str] | None = None
    for utterance in [] if speeches else analysis.utterances:
        now = (utterance.role, utterance.exchange, utterance.speaker)
        if now != before:
            turns.add(utterance.sentence.start)
        before = now
    parts = [
        (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        )
    ]
    if transcript.notice:
        parts.append(f"<aside>{escape(transcript.notice)}</aside>\n")
    parts.append(f"<p>SHA-256 of the file: {escape(transcript.sha256)}</p>\n<main><p>")
    parts.append(_verbatim(text[: ordered[0]] if ordered else text))
    for start, end in zip(ordered, [*ordered[1:], len(text)], strict=False):
        if start in speeches:
            parts.append(f"</p>{_opening(speeches[start])}")
        elif start in turns and start != ordered[0]:
            parts.append("</p><p>")
        parts.append(f'<span id="c{start}">{_verbatim(text[start:end])}</span>')
    parts.append("</p></main>\n</body>\n</html>\n")
    return "".join(parts)


def _opening(speech: Speech) -> str:
    """A speech's paragraph: number and speaker are shown by the style, since its text is the transcript's alone."""
    who = ", ".join(part for part in (speech.speaker, speech.title or speech.firm) if part)
    return (
        f'<p id="s{speech.number}" data-speech="{escape(f"{speech.number} · {who}")}" title="{escape(speech.place)}">'
    )


def _verbatim(text: str) -> str:
    """Text as a reader of HTML gets it back: a carriage return as such would become a line feed."""
    return escape(text, quote=False).replace("\r", "&#13;")
