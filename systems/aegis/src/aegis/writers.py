"""Who writes the sections of a report."""

from __future__ import annotations

from typing import Protocol

from aegis.reports import CallTranscript, ExtractiveWriter, Section
from aegis.settings import Settings


class Writer(Protocol):
    """Writes sections; the same transcript and topic give a section of the same meaning."""

    @property
    def name(self) -> str:
        """What reports and their records call it."""
        ...

    def topics(self, report_type: str) -> list[str]:
        """The topics of a report's sections in their order."""
        ...

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        """One section; may be asked for several at once."""
        ...


def open_writer(settings: Settings) -> Writer:
    """The writer that the settings name."""
    match settings.writer:
        case "extractive":
            return ExtractiveWriter()
