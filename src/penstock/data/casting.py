"""Columns into the types that a schema asks for; what cannot be cast is told apart from what is missing."""

from __future__ import annotations

from typing import Any

import polars as pl

_TRUE, _FALSE = ["true", "t", "yes", "y", "1"], ["false", "f", "no", "n", "0"]
_DAY, _MOMENT, _TIME = "%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%H:%M:%S%.f"
_EXACT = 2.0**53
"""Up to here a float holds every whole number."""


def cast(series: pl.Series, wanted: Any) -> tuple[pl.Series, pl.Series]:
    """The column in the wanted type, and for each row whether its value could not be cast.

    Text is read by ISO 8601, blanks around it do not count, and blank text is null for every type but text. A time
    without a zone is in UTC. A float is an integer only when it is whole.
    """
    name = series.name
    if series.dtype == pl.String and wanted != pl.String:
        text = series.str.strip_chars()
        text = text.set(text == "", None)  # pyright: ignore[reportArgumentType]
        made = pl.DataFrame({name: text}).select(_of_text(pl.col(name), wanted).alias(name))[name]
        return made, text.is_not_null() & made.is_null()
    made = _of_value(series, wanted)
    return made, series.is_not_null() & made.is_null()


def _of_text(text: pl.Expr, wanted: Any) -> pl.Expr:
    match wanted:
        case pl.Boolean():
            low = text.str.to_lowercase()
            return pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False)
        case pl.Date():
            return text.str.to_date(_DAY, strict=False)
        case pl.Time():
            return text.str.to_time(_TIME, strict=False)
        case pl.Datetime():
            return _moment(text.str.replace("T", " ", literal=True), wanted)
        case _ if wanted.is_integer():
            number = text.cast(pl.Float64, strict=False)
            whole = pl.when((number == number.floor()) & (number.abs() < _EXACT)).then(number)
            return pl.coalesce(text.cast(wanted, strict=False), whole.cast(wanted, strict=False))
        case _ if wanted.is_nested():
            return text.str.json_decode(wanted)
        case _:
            return text.cast(wanted, strict=False)


def _moment(text: pl.Expr, wanted: pl.Datetime) -> pl.Expr:
    unit = wanted.time_unit
    forms = [
        text.str.to_datetime(_MOMENT + "%#z", strict=False, time_unit=unit, time_zone="UTC"),
        text.str.to_datetime(_MOMENT, strict=False, time_unit=unit).dt.replace_time_zone("UTC"),
        text.str.to_date(_DAY, strict=False).cast(pl.Datetime(unit)).dt.replace_time_zone("UTC"),
    ]
    moment = pl.coalesce(forms)
    if wanted.time_zone is None:
        return moment.dt.replace_time_zone(None)
    return moment.dt.convert_time_zone(wanted.time_zone)


def _of_value(series: pl.Series, wanted: Any) -> pl.Series:
    given = series.dtype
    if isinstance(wanted, pl.Datetime) and isinstance(given, pl.Datetime):
        if given.time_zone is None and wanted.time_zone is not None:
            series = series.dt.replace_time_zone("UTC").dt.convert_time_zone(wanted.time_zone)
        elif given.time_zone is not None and wanted.time_zone is None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if given.is_float() and wanted.is_integer():
        whole = series.is_finite() & (series == series.floor())
        series = series.set(~whole, None)  # pyright: ignore[reportArgumentType]
    return series.cast(wanted, strict=False)
