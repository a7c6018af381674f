"""The unit of the engine's contract."""

from __future__ import annotations

from typing import NamedTuple


class Letter(NamedTuple):
    """What should exist."""

    name: str
    lane: str = "x"


A, B, C = Letter("a"), Letter("b"), Letter("c")
