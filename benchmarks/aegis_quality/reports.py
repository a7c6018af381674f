"""What the extractive writer makes of the labelled calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aegis.reports import CallTranscript, ExtractiveWriter, Quote, Section
from benchmarks.aegis_quality.labels import Calls

THEME = "theme_"


@dataclass(frozen=True, kw_only=True)
class Written:
    """Both reports of one call."""

    sections: list[Section]

    def quotes(self) -> Iterator[tuple[str, Quote]]:
        """Every quote of management with the topic of its section."""
        for section in self.sections:
            for block in section.blocks:
                for quote in block.quotes:
                    yield section.topic, quote

    def summary(self) -> list[Quote]:
        """The quotes of the Call Summary."""
        return [quote for topic, quote in self.quotes() if not topic.startswith(THEME)]

    def questions(self) -> list[tuple[str, Quote]]:
        """Every question with its theme, less the prefix that the sections' topics have."""
        return [
            (section.topic.removeprefix(THEME), block.question)
            for section in self.sections
            for block in section.blocks
            if block.question is not None
        ]


def write(calls: Calls, files: Iterable[str]) -> dict[str, Written]:
    """The reports of the named calls."""
    return asyncio.run(_write({file: calls.by_name[file] for file in files}))


async def _write(calls: dict[str, CallTranscript]) -> dict[str, Written]:
    writer = ExtractiveWriter()
    return {
        file: Written(
            sections=[
                await writer.section(call, topic)
                for report_type in ("Call Summary", "Key Themes")
                for topic in writer.topics(report_type)
            ]
        )
        for file, call in calls.items()
    }
