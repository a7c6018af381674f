"""The values of a report: what a writer is given, what it gives back, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from aegis.transcripts.model import Speech

ReportType = Literal["Call Summary", "Key Themes"]
Part = Literal["prepared", "q_and_a"]
Refusal = Literal["not_verbatim", "other_speaker", "question", "length", "boilerplate", "label"]
"""Why something that a language model called a quote is none."""

REPORT_TYPES: tuple[ReportType, ...] = ("Call Summary", "Key Themes")


@dataclass(frozen=True, kw_only=True)
class CallTranscript:
    """A transcript as a writer gets it. `quarter` is `Q1` to `Q4`; offsets count the characters of `text`.

    `speeches` are there where the transcript's file names its speakers.
    """

    text: str
    sha256: str
    bank_name: str
    bank_symbol: str
    fiscal_year: int
    quarter: str
    notice: str | None = None
    speeches: tuple[Speech, ...] = ()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Quote(_Frozen):
    """A verbatim quote: `transcript.text[start:end] == text`.

    `speaker` is a name where the transcript's file says it, or the call's own hand-overs tell it (then
    `speaker_inferred`), else "Management". Of a file that names its speakers, `speech` is the number of the speech
    and `offset` the quote's place in it.
    """

    text: str
    start: int
    end: int
    speaker: str
    speaker_inferred: bool = False
    part: Part
    title: str | None = None
    speech: int | None = None
    offset: int | None = None


class Block(_Frozen):
    """One point of a section: management's words, and in key themes the analyst's question before them.

    `analyst` and `firm` are normalised against lists of known names; the `_heard` fields are the transcript's.
    """

    label: str
    quotes: list[Quote]
    question: Quote | None = None
    analyst: str | None = None
    analyst_heard: str | None = None
    firm: str | None = None
    firm_heard: str | None = None


class RefusedQuote(_Frozen):
    """What a language model gave as a quote and what was not taken as one."""

    text: str
    reason: Refusal


class Section(_Frozen):
    """One topic of a report. `considered` sentences (or questions) were of the topic, `kept` of them are quoted.

    Where a language model chose, `considered` are the quotes that it gave. `refused` are those that were none, at first
    and when they were asked for again (`asked_again` of them); for `given_up` of these no good one came. `cost_usd` is
    what the model was paid.
    """

    report_type: str
    topic: str
    title: str
    blocks: list[Block]
    considered: int
    kept: int
    dropped: int
    asked_again: int = 0
    given_up: int = 0
    refused: list[RefusedQuote] = []
    cost_usd: Decimal = Decimal(0)


class Draft(_Frozen):
    """A report on disk. `source_version` is the transcript's SHA-256; `cost_usd` what was paid to write it."""

    docx: Path
    markdown: Path
    source_version: str
    writer: str
    cost_usd: Decimal
    notice: str | None
