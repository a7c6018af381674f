"""The extractive writer: reports of verbatim quotes, without a language model and without a network."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aegis.reports.analysis import analyse
from aegis.reports.summary import summary_section, summary_topics
from aegis.reports.themes import theme_section, theme_topics

if TYPE_CHECKING:
    from aegis.reports.model import CallTranscript, Section
    from aegis.semantic import Embed


class ExtractiveWriter:
    """Writes sections out of a transcript's own sentences. The same transcript always gives the same section.

    Args:
        embed: What gives statements their vectors, where embeddings are used; the writer then has another name, so
            that nothing is taken for what it would have written without them.
    """

    name = "extractive"
    embed: Embed | None = None

    def __init__(self, embed: Embed | None = None) -> None:
        if embed is not None:
            self.embed = embed
            self.name = "extractive-semantic"

    def topics(self, report_type: str) -> list[str]:
        """The topics of a report's sections in their order; `ValueError` for an unknown report type."""
        match report_type:
            case "Call Summary":
                return summary_topics()
            case "Key Themes":
                return theme_topics()
            case _:
                msg = f"no report type {report_type!r}; there are 'Call Summary' and 'Key Themes'"
                raise ValueError(msg)

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        """One section; sections may be asked for in any order, singly and from several tasks.

        The topic alone says which report type it is of: no two share one. The first section of a transcript takes
        about half a second of a thread, the rest little. Raises `ValueError` for an unknown topic.
        """
        return await asyncio.to_thread(_section, transcript, topic, self.embed)


def _section(transcript: CallTranscript, topic: str, embed: Embed | None) -> Section:
    if topic in summary_topics():
        return summary_section(analyse(transcript, embed), topic)
    if topic in theme_topics():
        section = theme_section(analyse(transcript, embed), transcript.text, topic)
        if transcript.previous is None:
            return section
        before = theme_section(analyse(transcript.previous, embed), transcript.previous.text, topic)
        # A call without questions that were recognised says nothing of what was asked.
        return section.model_copy(update={"before": before.kept}) if before.considered else section
    msg = f"no topic {topic!r}; there are {', '.join([*summary_topics(), *theme_topics()])}"
    raise ValueError(msg)
