"""The labels: places in the real transcripts, each with what a reader said of it.

A label holds no words of a transcript, only the file's name, two offsets and a hash of what lies between them: the
texts are other people's. Each label belongs to a part: `tune`, by which patterns may be changed, or `held`, which is
for testing only. The parts share no bank in any one file of labels.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aegis.reports import CallTranscript
from aegis.transcripts import inspect, read_source
from aegis.transcripts.companies import companies

Part = Literal["tune", "held"]
PARTS: tuple[Part, ...] = ("tune", "held")
FOLDER = Path(__file__).parent / "labels"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A labelled place: `text` is what the transcript says there, `says` the label, split at blanks."""

    part: Part
    file: str
    kind: str
    start: int
    end: int
    text: str
    says: tuple[str, ...]

    def meets(self, start: int, end: int) -> bool:
        """Whether this place and another have a character in common."""
        return self.start < end and start < self.end


class Calls:
    """The real calls by the name of their file, less its ending."""

    def __init__(self, source: Path) -> None:
        known = {ticker: company.name for ticker, company in companies().items()}
        self.by_name = {
            one.name.removesuffix(".txt"): CallTranscript.of(one, known[one.ticker])
            for one in inspect(read_source(source), known).accepted
        }

    def labelled(self) -> list[str]:
        """The calls of which quotes, slots or turns are labelled."""
        files = ("quotes.csv", "answers.csv", "slots.csv", "turns.csv")
        return sorted({place.file for labels in files for place in self._places(labels, "", "")})

    def places(self, labels: str, kind: str, says: str) -> list[Place]:
        """All labels of one file. `kind` and `says` name its columns; a kind without a column is "".

        Raises `ValueError` where the text at a place is not what was labelled.
        """
        return list(self._places(labels, kind, says))

    def _places(self, labels: str, kind: str, says: str) -> Iterator[Place]:
        with (FOLDER / labels).open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                start, end = int(row["start"]), int(row["end"])
                text = self.by_name[row["file"]].text[start:end]
                if hashed(text) != row["sha256"]:
                    msg = (
                        f"{labels}, line {number}: {row['file']} at {start} is not what was labelled; these are not "
                        "the transcripts that the labels are of"
                    )
                    raise ValueError(msg)
                part: Part | None = next((one for one in PARTS if one == row["part"]), None)
                if part is None:
                    msg = f"{labels}, line {number}: the part is {row['part']!r}, not one of {', '.join(PARTS)}"
                    raise ValueError(msg)
                yield Place(
                    part=part,
                    file=row["file"],
                    kind=row.get(kind, ""),
                    start=start,
                    end=end,
                    text=text,
                    says=tuple(row.get(says, "").split()),
                )


def hashed(text: str) -> str:
    """The hash that a label has of its text."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]
