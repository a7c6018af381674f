"""The key of a unit as canonical text, the same from Python and from SQL.

The text is a JSON object of the key's fields in alphabetical order without blanks. Numbers and booleans stand as they
are; dates, times, UUIDs and decimals are strings in one fixed form, so that `why` in Python finds what a set-based plan
wrote in SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args
from uuid import UUID

KeyKind: TypeAlias = Literal["integer", "text", "boolean", "date", "timestamp", "uuid", "decimal"]

_SQL: Final[dict[KeyKind, str]] = {
    "integer": "({0})::bigint::text",
    "text": "to_json(({0})::text)::text",
    "boolean": "({0})::boolean::text",
    "date": "to_json(({0})::date)::text",
    "timestamp": """to_json(to_char(({0})::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text""",
    "uuid": "to_json(({0})::uuid)::text",
    "decimal": "to_json(trim_scale(({0})::numeric)::text)::text",
}


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _literal(text: str) -> str:
    """An SQL string literal for a statement with psycopg's placeholders, as those that `column` quotes are."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def _timestamp(value: datetime) -> str:
    if value.tzinfo is None:
        msg = f"{value!r} has no time zone, so it names no instant; give it one, such as datetime.now(UTC)"
        raise ValueError(msg)
    return f'"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")}Z"'


def _decimal(value: Decimal) -> str:
    text = format(value, "f")  # not normalize(), which rounds to the context's precision
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return f'"{"0" if text == "-0" else text}"'


_PYTHON: Final[dict[KeyKind, Callable[[Any], str]]] = {
    "integer": lambda value: str(int(value)),
    "text": lambda value: _text(value.value if isinstance(value, Enum) else value),
    "boolean": lambda value: "true" if value else "false",
    "date": lambda value: f'"{value.isoformat()}"',
    "timestamp": _timestamp,
    "uuid": lambda value: f'"{value}"',
    "decimal": _decimal,
}


def kind_of(annotation: object) -> KeyKind | None:
    """How a field of this type is written, or None when it cannot be part of a key (floats, containers, None)."""
    if isinstance(annotation, type):
        kinds: tuple[tuple[type, KeyKind], ...] = (
            (bool, "boolean"),
            (int, "integer"),
            (str, "text"),
            (datetime, "timestamp"),
            (date, "date"),
            (UUID, "uuid"),
            (Decimal, "decimal"),
        )
        if issubclass(annotation, Enum):
            return "text" if all(isinstance(member.value, str) for member in annotation) else None
        return next((kind for base, kind in kinds if issubclass(annotation, base)), None)
    values: tuple[object, ...] = get_args(annotation)  # Literal["a", "b"]
    if values and all(isinstance(value, str) for value in values):
        return "text"
    return None


@dataclass(frozen=True, slots=True)
class Key:
    """The key's fields and how each is written."""

    kinds: Mapping[str, KeyKind]

    @property
    def fields(self) -> list[str]:
        """The fields in the order of the canonical text."""
        return sorted(self.kinds)

    def text(self, values: Mapping[str, Any]) -> str:
        """The canonical text of these values, which are Python values of the fields' types."""
        parts = (f"{_text(name)}:{_PYTHON[self.kinds[name]](values[name])}" for name in self.fields)
        return "{" + ",".join(parts) + "}"

    def sql(self, column: Callable[[str], str]) -> str:
        """An SQL expression that gives the canonical text; `column` quotes a field's column.

        It is for statements with values to bind: a percent sign is doubled.
        """
        parts = [
            f"{_literal(f'{_text(name)}:')} || {_SQL[self.kinds[name]].format(column(name))}" for name in self.fields
        ]
        return "'{' || " + " || ',' || ".join(parts) + " || '}'"
