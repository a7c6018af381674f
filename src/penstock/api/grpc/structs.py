"""JSON objects as google.protobuf.Struct and back, and times. Numbers are doubles: larger whole ones travel as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic_core import to_jsonable_python

from penstock.api.grpc.statuses import invalid

EXACT: Final = 2**53
"""Whole numbers up to here are the same as doubles."""


def at(time: datetime | None) -> Timestamp | None:
    """A time; one that is not known is absent."""
    if time is None:
        return None
    found = Timestamp()
    found.FromDatetime(time)
    return found


def struct(body: Mapping[str, Any]) -> Struct:
    """The object; what JSON has not becomes what pydantic makes of it, such as text of a date or a decimal number."""
    return Struct(fields={str(name): value(each) for name, each in body.items()})


def value(given: object) -> Value:
    """Any value."""
    match given:
        case None:
            return Value(null_value=NULL_VALUE)
        case bool():
            return Value(bool_value=given)
        case int() if abs(given) <= EXACT:
            return Value(number_value=given)
        case float() if math.isfinite(given):
            return Value(number_value=given)
        case int() | float():
            return Value(string_value=str(given))
        case str():
            return Value(string_value=given)
        case Mapping():
            return Value(struct_value=struct(cast("Mapping[str, Any]", given)))
        case list() | tuple():
            entries = cast("Sequence[Any]", given)
            return Value(list_value=ListValue(values=[value(each) for each in entries]))
        case _:
            return value(to_jsonable_python(given, bytes_mode="base64", fallback=str))


def plain(body: Struct, field: str) -> dict[str, Any]:
    """What `struct` was made from, with numbers without a fraction as int.

    Args:
        body: The object.
        field: Its name in the request, for messages.

    Raises:
        Refusal: A number is none, or is too large to be the one that was meant.
    """
    return {name: _plain(each, f"{field}.{name}") for name, each in body.fields.items()}


def _plain(given: Value, field: str) -> Any:
    match given.WhichOneof("kind"):
        case "bool_value":
            return given.bool_value
        case "number_value":
            return _number(given.number_value, field)
        case "string_value":
            return given.string_value
        case "struct_value":
            return plain(given.struct_value, field)
        case "list_value":
            return [_plain(each, f"{field}.{number}") for number, each in enumerate(given.list_value.values)]
        case _:
            return None


def _number(given: float, field: str) -> int | float:
    if not math.isfinite(given):
        raise invalid(f"{field}: {given} is no number that JSON has.")
    if not given.is_integer():
        return given
    if abs(given) > EXACT:
        raise invalid(f"{field}: whole numbers beyond 2^53 are not exact here; give it as text.")
    return int(given)
