"""Texts as values of a type, and which of them are none. Nothing is rounded, guessed or cut to fit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, cast

import polars as pl

_DATE: Final = r"\d{4}-\d{2}-\d{2}"
_MIDNIGHT: Final = rf"^{_DATE}(?:[T ]00:00(?::00(?:\.0+)?)?)?$"
_ZONE: Final = r"(?:Z|[+-]\d{2}:?\d{2})$"
_DIGITS: Final = {"ms": 3, "us": 6, "ns": 9}
_TRUE: Final = ("true", "t", "yes", "y", "on", "1")
_FALSE: Final = ("false", "f", "no", "n", "off", "0")
_PLAIN_INTEGER: Final = r"^(?:0|-?[1-9]\d*)$"
_PLAIN_NUMBER: Final = r"^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$"


def typed(texts: pl.Series, dtype: pl.DataType, pattern: str | None = None) -> pl.Series:
    """The values; null where a text is none of this type.

    Numbers and dates may have spaces around them. Dates and times are those of ISO 8601, booleans' words
    PostgreSQL's, lists and structs are JSON.

    Args:
        texts: Texts and nulls.
        dtype: A type of polars.
        pattern: How dates or times are written, in `strftime`'s words; ISO 8601 by default.
    """
    if isinstance(dtype, pl.String):
        return texts
    if isinstance(dtype, (pl.Struct, pl.List, pl.Array)):
        return _decoded(texts, dtype)
    if isinstance(dtype, (pl.Enum, pl.Categorical, pl.Binary)):
        return texts.cast(dtype, strict=False)
    bare = texts.str.strip_chars()
    match dtype:
        case pl.Boolean():
            words = bare.str.to_lowercase()
            names = pl.DataFrame({"w": words})
            true, false = pl.col("w").is_in(_TRUE), pl.col("w").is_in(_FALSE)
            return names.select(pl.when(true).then(True).when(false).then(False)).to_series()
        case pl.Decimal():
            exact = rf"^[+-]?(?:\d+(?:\.\d{{0,{dtype.scale}}}0*)?|\.\d{{1,{max(dtype.scale, 1)}}}0*)$"
            return _only(bare, exact).cast(dtype, strict=False)
        case pl.Date():
            if pattern is not None:
                return bare.str.to_date(pattern, strict=False)
            return _only(bare, _MIDNIGHT).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        case pl.Datetime():
            return _moments(bare, dtype, pattern)
        case pl.Time():
            full = bare.str.replace(r"^(\d{2}:\d{2})$", "${1}:00")
            return full.str.to_time(pattern or "%H:%M:%S%.f", strict=False)
        case pl.Float64() | pl.Float32():
            numbers = bare.cast(dtype, strict=False)
            return _where(numbers, ~numbers.is_infinite() | bare.str.contains("(?i)inf"))
        case _:
            return bare.cast(dtype, strict=False)


def converted(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Values of one type as another; null where that would change them, save that floats may become shorter ones."""
    try:
        there = values.cast(dtype, strict=False)
        if values.dtype.is_nested() or dtype == pl.String or (values.dtype.is_float() and dtype.is_float()):
            return there
        return _where(there, there.cast(values.dtype, strict=False).eq_missing(values))
    except pl.exceptions.PolarsError:  # nothing of the one type is of the other
        return pl.Series(values.name, [None] * len(values), dtype=dtype)


def inferred(texts: pl.Series) -> pl.Series:
    """The values as what all of them are: whole numbers, numbers, dates, dates with times; else the texts.

    A number with a leading zero or a plus sign is a text, since it is a code, perhaps.
    """
    known = texts.drop_nulls()
    if known.is_empty():
        return texts
    if known.str.contains(_PLAIN_INTEGER).all():
        whole = texts.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == texts.null_count() else texts
    if known.str.contains(_PLAIN_NUMBER).all():
        numbers = typed(texts, pl.Float64())
        return numbers if numbers.null_count() == texts.null_count() else texts
    if known.str.to_lowercase().is_in(["true", "false"]).all():
        return typed(texts, pl.Boolean())
    for dtype in (pl.Date(), pl.Datetime("us"), pl.Datetime("us", "UTC")):
        if known.str.contains(rf"^{_DATE}").all():
            values = typed(texts, dtype)
            if values.null_count() == texts.null_count():
                return values
    return texts


def _moments(texts: pl.Series, dtype: pl.Datetime, pattern: str | None) -> pl.Series:
    """A text with an offset from UTC fits a type with a zone only; one without is the time in that zone."""
    unit, zone = dtype.time_unit, dtype.time_zone
    if pattern is not None:
        if "%z" in pattern or "%:z" in pattern or "%#z" in pattern:
            moments = texts.str.to_datetime(pattern, time_unit=unit, time_zone="UTC", strict=False)
            return moments.dt.convert_time_zone(zone) if zone else moments.clear(len(moments))
        return _in_zone(texts.str.to_datetime(pattern, time_unit=unit, strict=False), zone)
    full = texts.str.replace(rf"^({_DATE})$", "${1}T00:00:00").str.replace(rf"^({_DATE}) ", "${1}T")
    full = full.str.replace(rf"^({_DATE}T\d{{2}}:\d{{2}})($|Z|[+-])", "${1}:00${2}")
    strict = rf"^{_DATE}T\d{{2}}:\d{{2}}:\d{{2}}(?:\.\d{{1,{_DIGITS[unit]}}}0*)?"
    local = _in_zone(
        _only(full, f"{strict}$").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit=unit, strict=False), zone
    )
    if zone is None:
        return local
    offset = _only(full, strict + _ZONE).str.replace("Z$", "+00:00")
    absolute = offset.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit=unit, time_zone="UTC", strict=False)
    return absolute.dt.convert_time_zone(zone).fill_null(local) if len(local) else local


def _in_zone(moments: pl.Series, zone: str | None) -> pl.Series:
    """Null for a time that a clock there shows twice or never."""
    return moments if zone is None else moments.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")


def _only(texts: pl.Series, pattern: str) -> pl.Series:
    return _where(texts, texts.str.contains(pattern))


def _where(values: pl.Series, mask: pl.Series) -> pl.Series:
    """The values where the mask is true, null elsewhere."""
    return pl.DataFrame({"v": values, "m": mask}).select(pl.when("m").then("v")).to_series().alias(values.name)


def _decoded(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    """JSON as lists and structs; null where something in it would be lost."""
    try:
        values = texts.str.json_decode(dtype)
    except pl.exceptions.PolarsError:
        if len(texts) == 1:
            return pl.Series(texts.name, [None], dtype=dtype)
        return pl.concat([_decoded(texts.slice(at, 1), dtype) for at in range(len(texts))])
    kept = [text is None or _kept(json.loads(text), value) for text, value in zip(texts, values.to_list(), strict=True)]
    return _where(values, pl.Series(kept, dtype=pl.Boolean))


def _kept(given: Any, value: Any) -> bool:
    """Whether all that was given is in the value."""
    match given:
        case None:
            return value is None
        case dict():
            fields = cast(dict[str, Any], given)
            return isinstance(value, dict) and all(
                key in value and _kept(each, value[key]) for key, each in fields.items()
            )
        case list():
            items = cast(Sequence[Any], given)
            return value is not None and len(items) == len(value) and all(map(_kept, items, value))
        case bool() | int() | float():
            return value == given or (isinstance(value, Decimal) and float(value) == given)
        case _:
            return value is not None
