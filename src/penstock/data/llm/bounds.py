"""The most that a call can cost, known before it is made and without the vendor's tokenizer.

A token of a byte-level vocabulary (OpenAI's, and those of most open models) stands for one byte or more, so a text has
no more tokens than bytes in UTF-8. English text has about four bytes a token, so the bound is about four times what
the input will cost. It is held only as long as the call lasts, then the real figure takes its place: what it costs is
that the last cents of a cap cannot be spent. A bound from average lengths would be tighter and is none: tables,
numbers and other scripts pass it. Who has the vendor's tokenizer at hand gives `Llm(count=)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from penstock.data.llm.prices import Tariff, Usage

Count = Callable[[str], int]
MESSAGE_TOKENS: Final = 16
"""Marks around a message; OpenAI's are 3 to 5."""
REQUEST_TOKENS: Final = 256
"""What a vendor puts before the messages: marks, dates, a few sentences on the form of the answer."""
SCHEMA_FACTOR: Final = 2
"""A schema is shown to the model in a form of the vendor's own, indented perhaps."""


def utf8_bytes(text: str) -> int:
    """The bound without a tokenizer. A lone surrogate travels as three bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


def most_input(messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any] | None, count: Count) -> int:
    """The most tokens that a request can be billed for."""
    spoken = sum(MESSAGE_TOKENS + count(str(message["content"])) for message in messages)
    shown = 0 if schema is None else SCHEMA_FACTOR * count(json.dumps(schema, ensure_ascii=False))
    return REQUEST_TOKENS + spoken + shown


def worst_cost(tariff: Tariff, tokens: int, output: int, at: datetime, tier: str | None) -> Decimal:
    """The price of the dearest way in which the vendor may count these tokens: as new, as cached, as put in a cache."""
    ways = (
        Usage(input=tokens, output=output),
        Usage(input=tokens, output=output, cached=tokens),
        Usage(input=tokens, output=output, written=tokens),
    )
    return max(tariff.cost(way, at, tier) for way in ways)
