"""The values of a report: what a writer is given, what it gives back, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from aegis.transcripts.model import Speech, Transcript

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
    previous: CallTranscript | None = None
    """The same bank's call of the quarter before, where it is held: what this one is compared with."""

    @classmethod
    def of(cls, transcript: Transcript, bank_name: str) -> Self:
        """An accepted transcript, without the call before it."""
        return cls(
            text=transcript.text,
            sha256=transcript.sha256,
            bank_name=bank_name,
            bank_symbol=transcript.ticker,
            fiscal_year=transcript.fiscal_year,
            quarter=transcript.quarter,
            notice=transcript.notice,
            speeches=transcript.speeches,
        )

    @property
    def period(self) -> str:
        """The fiscal quarter as it is printed: `2025 Q2`."""
        return f"{self.fiscal_year} {self.quarter}"

    @property
    def period_before(self) -> str:
        """The quarter before, whose call this one is compared with: `2025 Q1`."""
        number = int(self.quarter[1])
        return f"{self.fiscal_year - 1} Q4" if number == 1 else f"{self.fiscal_year} Q{number - 1}"


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
    earlier: Quote | None = None
    """Guidance: its counterpart in the previous call, verbatim in `transcript.previous.text`."""


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

    Where a language model chose (`by_model`), `considered` are the quotes that it gave. `refused` are those that were
    none, at first and when they were asked for again (`asked_again` of them); for `given_up` of these no good one came.
    `cost_usd` is what the model was paid.

    `before` is what was kept of the topic in the previous call, where the writer read that call in the same way.
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
    by_model: bool = False
    before: int | None = None


class Tally(_Frozen):
    """What became of things that were considered: `considered` is `kept` and all of `dropped` together, exactly."""

    considered: int
    kept: int
    dropped: dict[str, int]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.considered != self.kept + sum(self.dropped.values()):
            msg = f"{self.considered} were considered, but {self.kept} kept and {self.dropped} dropped"
            raise ValueError(msg)
        return self


class ModelQuality(_Frozen):
    """What a language model gave as quotes, and what became of them.

    Of what is not `kept`, `dropped` says why it was refused, or that it is not among the best. `asked_again` were asked
    for once more, for `given_up` of these no good one came, and all of it was paid for with `cost_usd`.
    """

    quotes: Tally
    asked_again: int
    given_up: int
    cost_usd: Decimal


class Quality(_Frozen):
    """What a reader needs in order to trust a report or not.

    `statements` counts every sentence of the call once, `questions` every exchange with an analyst (key themes
    only). Of the quotes, `with_quantity` of management's carry an amount, `inferred` have a speaker whose name is
    inferred, and `compared` of the `guidance` statements stand beside one of the previous call. `speakers_known` where
    the transcript itself names them. `model` is there where a language model chose the quotes.
    """

    statements: Tally
    questions: Tally | None = None
    quotes: int
    managements: int
    with_quantity: int
    inferred: int
    speakers_known: bool = False
    guidance: int = 0
    compared: int = 0
    model: ModelQuality | None = None
    sections: dict[str, Tally]
    empty_sections: list[str]
    words: int
    previous: str | None = None
    notices: list[str]


class Draft(_Frozen):
    """A report on disk. `source_version` says what it was made from; `cost_usd` what was paid to write it.

    `quality` is None only in a draft that an earlier version of aegis left in the ledger.
    """

    docx: Path
    markdown: Path
    source_version: str
    writer: str
    cost_usd: Decimal
    notice: str | None
    quality: Quality | None = None
