"""Quotes of a transcript that names its speakers, given their speech, their place in it and their speaker's title."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aegis.reports.model import Block, CallTranscript, Quote, Section
    from aegis.transcripts.model import Speech


def located(sections: Sequence[Section], transcript: CallTranscript) -> Sequence[Section]:
    """The sections with every quote located by speech and offset, whichever writer made them.

    Sections of a transcript without speeches are as they were. Raises `ValueError` for a quote that is in no speech,
    or in more than one: nobody said that.
    """
    if not transcript.speeches:
        return sections
    starts = [speech.start for speech in transcript.speeches]

    def quote(one: Quote) -> Quote:
        speech = _speech_at(one.start, starts, transcript.speeches)
        if speech is None or one.end > speech.end:
            msg = (
                f"the quote at {one.start} is in no single speech of this transcript; write the report's sections again"
            )
            raise ValueError(msg)
        return one.model_copy(
            update={
                "speech": speech.number,
                "offset": one.start - speech.start,
                "speaker": speech.speaker,
                "speaker_inferred": False,
                "title": speech.title,
                "part": speech.part,
            }
        )

    def block(one: Block) -> Block:
        question = None if one.question is None else quote(one.question)
        return one.model_copy(update={"question": question, "quotes": [quote(each) for each in one.quotes]})

    return [one.model_copy(update={"blocks": [block(each) for each in one.blocks]}) for one in sections]


def _speech_at(place: int, starts: list[int], speeches: tuple[Speech, ...]) -> Speech | None:
    index = bisect_right(starts, place) - 1
    return speeches[index] if index >= 0 else None
