"""Reports on earnings calls: writers give sections, `typeset` puts them on disk."""

from __future__ import annotations

from aegis.reports.extractive import ExtractiveWriter
from aegis.reports.llm_writer import LlmWriter
from aegis.reports.model import (
    REPORT_TYPES,
    Block,
    CallTranscript,
    Draft,
    ModelQuality,
    Quality,
    Quote,
    RefusedQuote,
    ReportType,
    Section,
    Tally,
)
from aegis.reports.typeset import typeset

__all__ = [
    "REPORT_TYPES",
    "Block",
    "CallTranscript",
    "Draft",
    "ExtractiveWriter",
    "LlmWriter",
    "ModelQuality",
    "Quality",
    "Quote",
    "RefusedQuote",
    "ReportType",
    "Section",
    "Tally",
    "typeset",
]
