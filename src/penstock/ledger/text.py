"""Text fit to be stored: PostgreSQL knows no NUL, UTF-8 no lone surrogates, rows stay small and tell no secret."""

from __future__ import annotations

import json
from typing import Any, Final

from penstock.model.narrowing import is_list, is_mapping
from penstock.model.redaction import redact

ERROR_LIMIT: Final = 16 * 1024
OUTPUT_LIMIT: Final = 64 * 1024


def clean(text: str, limit: int = ERROR_LIMIT) -> str:
    """What is said for people to read: without secrets, and without what cannot be stored, cut to `limit` bytes."""
    return storable(redact(text), limit)


def storable(text: str, limit: int) -> str:
    """The text without what cannot be stored, cut to `limit` bytes with a mark."""
    if "\x00" in text:
        text = text.replace("\x00", "�")
    raw = text.encode("utf-8", "replace")
    if len(raw) > limit:
        mark = f" … ({len(raw)} bytes in all)"
        raw = raw[: limit - len(mark.encode())]
        return raw.decode("utf-8", "ignore") + mark
    return raw.decode("utf-8")


def clean_json(text: str) -> str:
    """JSON text whose strings can be stored."""
    if "\\u0000" in text or "\\ud" in text.lower():
        return json.dumps(_clean_value(json.loads(text)), ensure_ascii=False)
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _clean_value(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value, len(value) * 4 + 64)
    if is_list(value):
        return [_clean_value(item) for item in value]
    if is_mapping(value):
        return {_clean_value(key): _clean_value(item) for key, item in value.items()}
    return value
