"""Values of JSON as a column of one type."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final, Self

import polars as pl

from penstock.data.sources.faults import BadInput, Place, shown
from penstock.data.sources.options import Options

_EXACT: Final = 2**53
"""Whole numbers up to here are floats too."""
_LARGEST: Final = 2**63


class Fraction(float):
    """A number with a point or an exponent, which still knows how it was written."""

    __slots__ = ("written",)
    written: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        if math.isinf(number):
            raise ValueError(f"the number {text} is too large")
        number.written = text
        return number


def column(name: str, values: Sequence[Any], lines: Sequence[int], options: Options, place: Place) -> pl.Series:
    """The values as the type that they all have; text where the caller types the column, or wants text.

    Raises:
        BadInput: They are of several types.
    """
    wanted = options.schema
    if wanted == "text" or (wanted is not None and not isinstance(wanted, str) and name in wanted):
        return pl.Series(name, [_text(value) for value in values], dtype=pl.String)
    kinds = {_kind(value) for value in values} - {"null"}
    match sorted(kinds):
        case []:
            return pl.Series(name, [None] * len(values), dtype=pl.Null)
        case ["integer"]:
            _within(name, values, lines, place, range(-_LARGEST, _LARGEST))
            return pl.Series(name, values, dtype=pl.Int64)
        case ["number"]:
            return pl.Series(name, values, dtype=pl.Float64)
        case ["integer", "number"]:
            _within(name, values, lines, place, range(-_EXACT, _EXACT + 1))
            return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
        case ["boolean"]:
            return pl.Series(name, values, dtype=pl.Boolean)
        case ["text"]:
            return pl.Series(name, values, dtype=pl.String)
        case ["nested"]:
            return pl.Series(name, [_text(value) for value in values], dtype=pl.String)
        case _:
            first = next(_kind(value) for value in values if value is not None)
            at = next(at for at, value in enumerate(values) if value is not None and _kind(value) != first)
            reason = f"{shown(_text(values[at]))} is {_kind(values[at])} where rows before it have {first}"
            hint = f"say what the column is: schema={{{name!r}: pl.String}} takes both as text"
            raise BadInput(place, f"{reason}; {hint}", line=lines[at], column=name, value=values[at])


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case _:
            return "nested"


def _text(value: Any) -> str | None:
    """The value as it was written, as far as JSON means something by how it is written."""
    match value:
        case None | str():
            return value
        case Fraction():
            return value.written
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _within(name: str, values: Sequence[Any], lines: Sequence[int], place: Place, fitting: range) -> None:
    for line, value in zip(lines, values, strict=True):
        if isinstance(value, int) and value not in fitting:
            reason = f"{value} does not fit a number of 64 bits beside the others; say schema={{{name!r}: pl.String}}"
            raise BadInput(place, reason, line=line, column=name, value=value)
