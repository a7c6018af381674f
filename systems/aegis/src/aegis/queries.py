"""The SQL files of aegis: named blocks, read once when first asked for."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def schema() -> bytes:
    """The statements that create every table of aegis; running them again changes nothing."""
    return _read("schema.sql").encode()


@cache
def queries(file: str) -> dict[str, bytes]:
    """The queries of one SQL file by the names above them."""
    _, *parts = _NAME.split(_read(file))
    # As bytes: a driver that refuses SQL made of any string takes these, which come from the package only.
    return {name: query.encode() for name, query in zip(parts[::2], parts[1::2], strict=True)}


def _read(file: str) -> str:
    return files("aegis").joinpath("sql", file).read_text(encoding="utf-8")
