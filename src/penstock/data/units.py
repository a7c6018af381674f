"""Units as a table in a query."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from psycopg import sql

from penstock.data.wording import array_of, json_of
from penstock.model.errors import DefinitionError

_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    str: "text",
    Decimal: "numeric",
    datetime: "timestamptz",
    date: "date",
    time: "time",
    timedelta: "interval",
    UUID: "uuid",
    bytes: "bytea",
}


def units_table(units: Sequence[Any]) -> tuple[sql.Composed, dict[str, Any]]:
    """The SELECT that gives the units, typed by their class's annotations, and its values.

    Args:
        units: Units of one class; of an empty sequence nobody can tell the columns.

    Raises:
        DefinitionError: They are of several classes, or have no fields, or there is none.
    """
    if not units:
        raise DefinitionError("query(units=[]) has no unit to tell the columns by: ask for nothing when there is none.")
    first = units[0]
    if other := next((unit for unit in units if type(unit) is not type(first)), None):
        raise DefinitionError(
            f"query(units=...) takes units of one class, not of {type(first).__name__} and {type(other).__name__}."
        )
    fields = _fields(first.__class__)
    if len(fields) > len({name.lower() for name in fields}):
        raise DefinitionError(f"query(units=...): two fields differ by capitals alone: {', '.join(fields)}.")
    values = {f"penstock_unit_{n}": [getattr(unit, name) for unit in units] for n, name in enumerate(fields)}
    columns = [sql.Identifier(name) for name in fields]
    arrays = [
        sql.SQL("{}::{}[]").format(sql.Placeholder(f"penstock_unit_{n}"), sql.SQL(kind))  # pyright: ignore[reportArgumentType]
        for n, kind in enumerate(fields.values())
    ]
    table = sql.SQL("select * from unnest({}) as units ({})").format(
        sql.SQL(", ").join(arrays), sql.SQL(", ").join(columns)
    )
    texts = {
        name: array_of([json_of(one) if kind == "jsonb" and one is not None else one for one in column])
        for (name, column), kind in zip(values.items(), fields.values(), strict=True)
    }
    return table, dict(texts)


def _fields(kind: Any) -> dict[str, str]:
    """The names of a unit's fields, and the SQL type of each."""
    names: list[str] = []
    for shape in ("_fields", "__dataclass_fields__", "model_fields"):
        names = names or list(getattr(kind, shape, ()))
    if not names:
        raise DefinitionError(
            f"query(units=...) takes NamedTuples, dataclasses or pydantic models; a {kind.__name__} has no fields."
        )
    hints = typing.get_type_hints(kind)
    return {name: _sql_type(hints.get(name, str)) for name in names}


def _sql_type(hint: Any) -> str:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return _sql_type(parts[0]) if len({_sql_type(part) for part in parts}) == 1 else "text"
    if typing.get_origin(hint) is typing.Literal:
        return _sql_type_of(typing.get_args(hint))
    if typing.get_origin(hint) is typing.Annotated:
        return _sql_type(typing.get_args(hint)[0])
    supertype = getattr(hint, "__supertype__", None)
    if supertype is not None:
        return _sql_type(supertype)
    base = typing.get_origin(hint) or hint
    if not isinstance(base, type):
        return "text"
    if issubclass(base, Enum):
        return _sql_type_of([member.value for member in base])
    for known, name in _TYPES.items():  # bool before int, datetime before date
        if issubclass(base, known):
            return name
    return "jsonb" if issubclass(base, list | tuple | set | frozenset | dict) else "text"


def _sql_type_of(values: Sequence[Any]) -> str:
    """The type of values that are all of one kind, else text."""
    kinds: set[Any] = {type(value) for value in values}
    return _sql_type(kinds.pop()) if len(kinds) == 1 else "text"
