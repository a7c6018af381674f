"""What a request costs: the first pattern that its path matches names the operation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from penstock.model.errors import DefinitionError
from penstock.model.quota import Number, Quota, price

Cost: TypeAlias = Number | str
_PATTERN: Final = re.compile(r"(?:([A-Z]+) +)?(/\S*)")


class Operations:
    """The prices of an API's paths.

    Args:
        quotas: What requests draw from.
        operations: By pattern, the operation (or several joined by `+`), or an amount. A pattern is a path below the
            base URL, in which `*` stands for any text, with a method before it or without: `/eod/*`, `POST /queries`.
            Without any each request costs 1.

    Raises:
        DefinitionError: A pattern is none, or no quota lists an operation.
    """

    def __init__(self, quotas: Sequence[Quota], operations: Mapping[str, Cost]) -> None:
        self.quotas = tuple(quotas)
        self._patterns: list[tuple[str | None, re.Pattern[str], Cost]] = []
        for pattern, cost in operations.items():
            found = _PATTERN.fullmatch(pattern)
            if found is None:
                msg = f"Api: operations has the pattern {pattern!r}; write a path such as '/eod/*' or 'POST /queries'."
                raise DefinitionError(msg)
            if self.quotas:
                try:
                    price(cost, self.quotas)
                except DefinitionError as error:
                    raise DefinitionError(f"Api: operations[{pattern!r}]: {error}") from None
            path = ".*".join(re.escape(part) for part in found[2].split("*"))
            self._patterns.append((found[1], re.compile(path, re.DOTALL), cost))

    def cost(self, method: str, path: str) -> Cost:
        """What a request costs.

        Raises:
            DefinitionError: There are quotas, and no pattern matches.
        """
        if not self.quotas:
            return 0
        for only, pattern, cost in self._patterns:
            if only in (None, method) and pattern.fullmatch(path):
                return cost
        if self._patterns:
            msg = f"Api: operations has no pattern for {method} {path}; add one, with 0 if it costs nothing."
            raise DefinitionError(msg)
        return 1
