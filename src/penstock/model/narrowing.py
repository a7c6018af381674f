"""Whether a value of unknown type is a mapping or a list, told so that type checkers go on with what it holds.

A bare `isinstance` leaves a strict checker with parts of an unknown type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether it has names and values, as an object of JSON or YAML has."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list, as JSON and YAML have them."""
    return isinstance(value, list)
