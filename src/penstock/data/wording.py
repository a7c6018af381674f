"""Python's values as PostgreSQL's text: one value at a time, for mappings, arrays and documents."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from penstock.data.tables import Column

NULL = "\\N"


def text_of(value: Any, column: Column) -> str | None:
    """A value as the column's type reads it; None is null.

    Raises:
        ValueError: It has no such form; the message says why.
    """
    if value is None:
        return None
    if column.is_json:
        return value if isinstance(value, str) else json_of(value)
    if column.category == "A":
        return array_of(value) if isinstance(value, list | tuple | set | frozenset) else _plain(value)
    if isinstance(value, datetime):
        return _time_of(value, column.base)
    if isinstance(value, float) and column.base in ("int2", "int4", "int8"):
        return whole(value)
    return _plain(value)


def whole(value: float) -> str:
    """A float that holds a whole number, as one.

    Raises:
        ValueError: It holds a fraction, or no number.
    """
    if not value.is_integer():
        raise ValueError("it is no whole number")
    return str(int(value))


def _time_of(value: datetime, base: str) -> str:
    """A point in time; one without a zone is in UTC, and a column without a zone holds UTC."""
    at = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if base == "date":
        if at.time() != time():
            raise ValueError("it has a time of day, and the column holds a date")
        return at.date().isoformat()
    if base in ("timestamp", "timestamptz"):
        return at.isoformat(sep=" ") if base == "timestamptz" else at.replace(tzinfo=None).isoformat(sep=" ")
    return value.isoformat()


def _plain(value: Any) -> str:
    match value:
        case Enum():
            return _plain(value.value)
        case bool():
            return "true" if value else "false"
        case str():
            return str(value)
        case int() | Decimal() | UUID() | PurePath():
            return str(value)
        case float():
            return repr(value)
        case date() | time():  # a datetime is a date
            return value.isoformat()
        case timedelta():
            return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(cast(bytes, value)).hex()
        case _:
            return _composed(value)


def _composed(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return array_of(value)
    if isinstance(value, Mapping):
        return json_of(value)
    if type(value).__module__ == "numpy":
        return _plain(value.item())
    raise ValueError(f"a {type(value).__name__} is no value of a column; give its fields or its text")


def array_of(values: Any) -> str:
    """An array as PostgreSQL writes it, `{1,NULL,"a b"}`."""
    return "{" + ",".join(_element(value) for value in values) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return array_of(value)
    text = _time_of(value, "timestamptz") if isinstance(value, datetime) else _plain(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def json_of(value: Any) -> str:
    """A document.

    Raises:
        ValueError: It holds what JSON cannot, such as NaN.
    """
    try:
        return json.dumps(value, default=_jsonable, allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise ValueError(f"it is no JSON: {error}") from error


def _jsonable(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return _plain(value)
