"""The SQL of the building blocks: `.sql` files of named queries, each with what it is for."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def named(topic: str) -> dict[str, bytes]:
    """The queries of `topic.sql` by name.

    Raises:
        ValueError: The file holds SQL before its first name.
    """
    head, *rest = _NAME.split(files("penstock.data.sql").joinpath(f"{topic}.sql").read_text(encoding="utf-8"))
    if any(line and not line.startswith("--") for line in head.splitlines()):
        raise ValueError(f"{topic}.sql: SQL stands before the first '-- name:' line")
    return {name: body.strip().rstrip(";").encode() for name, body in zip(rest[::2], rest[1::2], strict=True)}
