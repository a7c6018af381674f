"""What COPY gives as a frame: for each SQL type the form it is asked for in, and the polars type that it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from psycopg import AsyncConnection, Column

from penstock.model.errors import InvalidData, SettingError

LARGEST_PRECISION = 38
SCALE = 18
"""Digits after the point of a `numeric` that names none."""
_ALIKE: dict[str, Any] = {
    "bool": pl.Boolean,
    "int2": pl.Int16,
    "int4": pl.Int32,
    "int8": pl.Int64,
    "oid": pl.Int64,
    "float4": pl.Float32,
    "float8": pl.Float64,
    "date": pl.Date,
    "time": pl.Time,
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "interval": pl.Duration("us"),
    "bytea": pl.Binary,
}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a column travels.

    Attributes:
        name: The name of its SQL type.
        sql: The form that it is asked for in; `{}` is the column.
        dtype: What it becomes.
    """

    name: str
    sql: str
    dtype: pl.DataType


def kind_of(connection: AsyncConnection[Any], column: Column) -> Kind:
    """How a column of a result travels.

    Raises:
        SettingError: The connection writes dates in a form that cannot be told.
    """
    info = connection.adapters.types.get(column.type_code)
    if info is None:
        return Kind(name="text", sql="{}::text", dtype=pl.String())
    if column.type_code == info.array_oid:
        inner = _scalar(info.name, None, None)
        dtype = pl.String() if isinstance(inner.dtype, pl.Duration) else inner.dtype
        # As a document of texts, since CSV has no lists; it also tells a null in an array from the text NULL.
        return Kind(name=info.name + "[]", sql="to_json({}::text[])", dtype=pl.List(dtype))
    kind = _scalar(info.name, column.precision, column.scale)
    if isinstance(kind.dtype, pl.Date | pl.Datetime):
        style = connection.info.parameter_status("DateStyle") or "ISO"
        if not style.startswith("ISO"):
            raise SettingError(
                f"The connection's DateStyle is {style!r}; dates are read as ISO: set datestyle to 'ISO'."
            )
    return kind


def _scalar(name: str, precision: int | None, scale: int | None) -> Kind:
    form = "{}"
    match name:
        case "numeric":
            fits = precision is not None and precision <= LARGEST_PRECISION and 0 <= (scale or 0) <= precision
            return Kind(
                name=name,
                sql=form,
                dtype=pl.Decimal(precision, scale or 0) if fits else pl.Decimal(LARGEST_PRECISION, SCALE),
            )
        case "timestamptz":
            form = "({} at time zone 'UTC')"
        case "interval":
            form = "(extract(epoch from {}) * 1000000)::bigint"
        case "bytea":
            form = "encode({}, 'hex')"
        case _ if name not in _ALIKE:
            return Kind(name=name, sql="{}::text", dtype=pl.String())
        case _:
            pass
    dtype = _ALIKE[name]
    return Kind(name=name, sql=form, dtype=dtype() if isinstance(dtype, type) else dtype)


async def decode(text: bytes, kinds: Mapping[str, Kind]) -> pl.DataFrame:
    """The frame of what was copied out; off the event loop where it is long.

    Raises:
        InvalidData: A value is none that polars can hold; it names column and value.
    """
    if len(text) < 1 << 20:
        return _decoded(text, kinds)
    return await asyncio.to_thread(_decoded, text, kinds)


def _decoded(text: bytes, kinds: Mapping[str, Kind]) -> pl.DataFrame:
    wanted = {name: kind.dtype for name, kind in kinds.items()}
    if not text:
        return pl.DataFrame(schema=wanted)
    raw = pl.read_csv(
        text,
        has_header=False,
        schema={**{str(n): _raw(kind.dtype) for n, kind in enumerate(kinds.values())}, "end": pl.Int8()},
    )
    return pl.DataFrame([_made(raw[str(n)], name, kind) for n, (name, kind) in enumerate(kinds.items())])


def _raw(dtype: pl.DataType) -> pl.DataType:
    """The type that the CSV reader makes of it; the rest is read as text first."""
    if dtype.is_integer() or dtype.is_float():
        return dtype
    return pl.Int64() if isinstance(dtype, pl.Duration) else pl.String()


def _made(series: pl.Series, name: str, kind: Kind) -> pl.Series:
    dtype, series = kind.dtype, series.alias(name)
    made: pl.Series
    match dtype:
        case pl.Boolean():
            made = series == "t"
        case pl.Date():
            made = series.str.to_date("%Y-%m-%d", strict=False)
        case pl.Datetime():
            made = series.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
            if dtype.time_zone is not None:
                made = made.dt.replace_time_zone(dtype.time_zone)
        case pl.Time():
            made = series.str.to_time("%H:%M:%S%.f", strict=False)
        case pl.Binary():
            made = series.str.decode("hex")
        case pl.Decimal():
            made = series.cast(dtype, strict=False)
        case pl.List():
            made = _lists(series, dtype, name)
        case _:
            made = series.cast(dtype)
    if made.null_count() > series.null_count():
        value = series.filter(made.is_null() & series.is_not_null())[0]
        hint = " Round it in the query, or say ::float8." if isinstance(dtype, pl.Decimal) else ""
        raise InvalidData(
            f"The query's column {name} holds {value!r} ({kind.name}), which a {dtype} cannot hold.{hint}"
        )
    return made


def _lists(series: pl.Series, dtype: pl.List, name: str) -> pl.Series:
    try:
        texts = series.str.json_decode(pl.List(pl.String()))
        return pl.DataFrame({name: texts}).select(pl.col(name).list.eval(_elements(dtype.inner)))[name].cast(dtype)
    except pl.exceptions.PolarsError as error:
        told = str(error).split("\n", 1)[0]
        raise InvalidData(f"The query's column {name} holds arrays that no {dtype} can hold: {told}") from error


def _elements(inner: Any) -> pl.Expr:
    one = pl.element()
    match inner:
        case pl.String():
            return one
        case pl.Boolean():
            return one == "true"
        case pl.Binary():
            return one.str.strip_prefix("\\x").str.decode("hex")
        case pl.Date():
            return one.str.to_date("%Y-%m-%d")
        case pl.Time():
            return one.str.to_time("%H:%M:%S%.f")
        case pl.Datetime() if inner.time_zone is not None:
            return one.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC")
        case pl.Datetime():
            return one.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us")
        case _:
            return one.cast(inner)
