"""Quotes of a transcript that names its speakers, given their speech, their place in it and their speaker's title."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.reports.places import speech_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aegis.reports.model import Block, CallTranscript, Quote, Section


def located(sections: Sequence[Section], transcript: CallTranscript) -> Sequence[Section]:
    """The sections with every quote located by speech and offset, whichever writer made them.

    Sections of a transcript without speeches are as they were. Raises `ValueError` for a quote that is in no speech,
    or in more than one: nobody said that.
    """
    if not transcript.speeches:
        return sections

    def block(one: Block) -> Block:
        question = None if one.question is None else locate(one.question, transcript)
        return one.model_copy(
            update={"question": question, "quotes": [locate(quote, transcript) for quote in one.quotes]}
        )

    return [one.model_copy(update={"blocks": [block(each) for each in one.blocks]}) for one in sections]


def locate(quote: Quote, transcript: CallTranscript) -> Quote:
    """One quote of a transcript, located as `located` does it."""
    if not transcript.speeches:
        return quote
    speech = speech_at(transcript, quote.start)
    if speech is None or quote.end > speech.end:
        msg = f"the quote at {quote.start} is in no single speech of this transcript; write the report's sections again"
        raise ValueError(msg)
    return quote.model_copy(
        update={
            "speech": speech.number,
            "offset": quote.start - speech.start,
            "speaker": speech.speaker,
            "speaker_inferred": False,
            "title": speech.title,
            "part": speech.part,
        }
    )
