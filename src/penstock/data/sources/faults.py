"""Where something is wrong, said so that somebody can go there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from penstock.model.errors import InvalidData

_SHOWN: Final = 80
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file, or a part of one.

    Attributes:
        path: The file.
        member: The file within a zip.
        sheet: The sheet of a workbook.
        row: What a row's number counts: lines of a text, rows of a sheet, items of a list.
    """

    path: Path
    member: str | None = None
    sheet: str | None = None
    row: str = "line"

    def __str__(self) -> str:
        parts = [str(self.path)]
        if self.member is not None:
            parts.append(f"member {self.member!r}")
        if self.sheet is not None:
            parts.append(f"sheet {self.sheet!r}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that was left out, and why.

    Attributes:
        line: Where it begins, from 1: the line of a text, the row of a sheet, the number of an item.
        reason: What is wrong with it.
        column: The column that is wrong; None where it is the row as a whole.
        values: The row's values as they were received.
    """

    line: int
    reason: str
    column: str | None = None
    values: tuple[Any, ...] = ()


class BadInput(InvalidData):
    """A file, or a row of it, that is not what it should be. Carries where: `place`, `line`, `column`, `value`."""

    def __init__(
        self, place: Place, reason: str, *, line: int | None = None, column: str | None = None, value: Any = None
    ) -> None:
        at = "" if line is None else f", {place.row} {line}"
        at += "" if column is None else f", column {column!r}"
        super().__init__(f"{place}{at}: {reason}")
        self.place, self.reason, self.line, self.column, self.value = place, reason, line, column, value

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel from the process of a step that computes."""
        again = partial(type(self), line=self.line, column=self.column, value=self.value)
        return again, (self.place, self.reason)


def shown(value: Any) -> str:
    """The value for a message, cut."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def counted(number: int, thing: str) -> str:
    """`1 value`, `2 values`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
