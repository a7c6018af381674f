"""The SQL files of medallion: named blocks, read once when first asked for."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def queries(file: str) -> dict[str, str]:
    """The queries of one SQL file by the names above them."""
    _, *parts = _NAME.split(text_of(file))
    return dict(zip(parts[::2], parts[1::2], strict=True))


@cache
def text_of(file: str) -> str:
    """One SQL file, whole."""
    return files("medallion").joinpath("sql", file).read_text(encoding="utf-8")
