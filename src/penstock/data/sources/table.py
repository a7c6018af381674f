"""A file's rows before they are typed: what every format gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from penstock.data.sources.faults import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some rows: columns in the order of the table's names, and the number of each row in the file."""

    frame: pl.DataFrame
    lines: pl.Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of a file, and its rows.

    Attributes:
        place: What messages call it.
        names: The columns; None for one without a name.
        parts: The rows, some at once; what is wrong with them is raised while they come.
        text: Whether all values are the texts that the file has, an empty one where there is none.
    """

    place: Place
    names: tuple[str | None, ...]
    parts: Iterator[Part]
    text: bool
