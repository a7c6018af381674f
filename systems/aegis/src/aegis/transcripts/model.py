"""What is known about a transcript file: the values that reading and checking pass on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

Role = Literal["operator", "analyst", "management", "unknown"]


class Reason(StrEnum):
    """Why a file was rejected, or what a reader of its report must be told (a flag)."""

    UNKNOWN_NAME = "unknown_name"
    UNKNOWN_BANK = "unknown_bank"
    BAD_ENCODING = "bad_encoding"
    BAD_JSON = "bad_json"
    BAD_SHAPE = "bad_shape"
    EMPTY = "empty"
    NO_TRANSCRIPT = "no_transcript"
    TOO_LARGE = "too_large"
    ESCAPES_FOLDER = "escapes_folder"
    UNREADABLE = "unreadable"
    OTHER_COMPANY = "other_company"
    OTHER_PERIOD = "other_period"
    DUPLICATE_OF = "duplicate_of"
    CUT = "cut"


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """One entry of a source before anything is known about its content.

    Exactly one of three: `data` holds the bytes; `problem` says why they were not read; `ignored` marks an entry that
    is no transcript at all (a folder's own files such as `.DS_Store`).
    """

    name: str
    data: bytes | None = None
    problem: Reason | None = None
    detail: str = ""
    ignored: bool = False


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A reason that does not refuse the file, with the sentence which a reader of the report is shown."""

    reason: Reason
    detail: str


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A file that was refused. `sha256` is empty where the bytes were not read; `detail` is one sentence."""

    name: str
    reason: Reason
    detail: str
    sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speech:
    """What one speaker says at a stretch, where the file itself names speakers: `text[start:end]`, verbatim.

    `number` counts the file's speeches from 1, those left out included; `place` is where it stands in the file:
    `q_and_a[3]`. A `title` is management's, a `firm` an analyst's. Nothing is quoted of an "unknown" speaker.
    """

    number: int
    place: str
    start: int
    end: int
    part: Literal["prepared", "q_and_a"]
    role: Role
    speaker: str
    title: str | None = None
    firm: str | None = None


@cache
def _speeches() -> TypeAdapter[tuple[Speech, ...]]:
    return TypeAdapter(tuple[Speech, ...])


def speeches_of(rows: Any) -> tuple[Speech, ...]:
    """Speeches as they were stored; none of a text whose file names no speakers."""
    return _speeches().validate_python(rows or ())


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """An accepted transcript: every offset in a report counts the characters of `text`.

    `text` is the decoded file, or in the JSON layout its speeches one after the other, of which `speeches` then has
    the speakers. `quarter` is `Q1` to `Q4`; `sha256` is that of the file's bytes; `name` is the file's name without
    folders.
    """

    ticker: str
    fiscal_year: int
    quarter: str
    text: str
    sha256: str
    words: int
    flags: tuple[Flag, ...]
    name: str
    speeches: tuple[Speech, ...] = ()

    @property
    def notice(self) -> str | None:
        """What stands at the head of a report on this transcript, or nothing where it has no flags."""
        return " ".join(flag.detail for flag in self.flags) or None


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """How every entry of a source ended."""

    accepted: list[Transcript]
    rejected: list[Rejection]
    ignored: int
