"""Where a quote stands: how its place is printed, and the links that lead there. All locators are made here."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript, Quote
    from aegis.transcripts.model import Speech

_SAFE = re.compile(r"[^A-Za-z0-9.]")


def locator(quote: Quote) -> str:
    """A quote's place: the characters of the transcript, or of its speech, from the first to the one after the last."""
    if quote.speech is not None and quote.offset is not None:
        return f"speech {quote.speech}, chars {quote.offset}–{quote.offset + len(quote.text)}"
    return f"chars {quote.start}–{quote.end}"


def span_locator(transcript: CallTranscript, start: int, end: int) -> str:
    """The place of any part of a transcript, as that of a quote: within its speech, where it is in one."""
    speech = speech_at(transcript, start)
    if speech is None or end > speech.end:
        return f"chars {start}–{end}"
    return f"speech {speech.number}, chars {start - speech.start}–{end - speech.start}"


def speech_at(transcript: CallTranscript, place: int) -> Speech | None:
    """The last speech that begins at an offset or before it; None before the first, and where speakers are unknown."""
    at = bisect_right(transcript.speeches, place, key=lambda speech: speech.start) - 1
    return transcript.speeches[at] if at >= 0 else None


def stem_of(transcript: CallTranscript) -> str:
    """What the names of a bank-quarter's files begin with: `RF_2025_Q2`."""
    return f"{_SAFE.sub('_', transcript.bank_symbol)}_{transcript.fiscal_year}_{_SAFE.sub('_', transcript.quarter)}"


def page_name(transcript: CallTranscript) -> str:
    """The file name of a transcript's page."""
    return f"{stem_of(transcript)}_transcript.html"


def anchors(transcript: CallTranscript) -> list[int]:
    """The offsets that a transcript's page has anchors at, ascending: the starts of its sentences and speeches.

    They depend on the transcript only, so every report on it, of whatever writer, may write the same page.
    """
    sentences = {utterance.sentence.start for utterance in analyse(transcript).utterances}
    return sorted(sentences | {speech.start for speech in transcript.speeches})


class Places:
    """Links into the page of one transcript."""

    def __init__(self, transcript: CallTranscript) -> None:
        self._page = page_name(transcript)
        self._anchors = anchors(transcript)

    def link(self, start: int) -> str:
        """The relative link to a quote that starts at an offset: to its sentence, or to the one that it begins in."""
        at = bisect_right(self._anchors, start) - 1
        return f"{self._page}#c{self._anchors[at]}" if at >= 0 else self._page
