"""Table names in a user's SQL: found outside of texts and comments, and pointed elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping

from psycopg import sql

_PART = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_TOKEN = re.compile(
    rf"""
    (?P<skip> --[^\n]* | /\*.*?\*/ | \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
      | (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag) | %\(\w+\)s )
    | (?P<name> {_PART}(?:\s*\.\s*{_PART})* )
    """,
    re.VERBOSE | re.DOTALL,
)
_PARTS = re.compile(_PART)


def pointed(text: str, tables: Mapping[tuple[str, str], sql.Identifier]) -> str:
    """SQL in which tables that are named with their schema are others.

    Args:
        text: The SQL.
        tables: For a schema and a name, as the catalog has them, what to write instead.
    """

    def other(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        parts = list(_PARTS.finditer(name))
        if len(parts) < 2:  # noqa: PLR2004 - schema and table
            return found[0]
        to = tables.get((folded(parts[0][0]), folded(parts[1][0])))
        return found[0] if to is None else to.as_string() + name[parts[1].end() :]

    return _TOKEN.sub(other, text)


def mentioned(text: str) -> list[str]:
    """Every name in the SQL, its last part first, as the catalog would have it; in order."""
    found: list[str] = []
    for token in _TOKEN.finditer(text):
        if token["name"] is not None:
            found.extend(folded(part[0]) for part in _PARTS.finditer(token["name"]))
    return found


def folded(part: str) -> str:
    """A name as the catalog has it: in quotes as it stands, else in small letters."""
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
