"""How often a token may ask."""

from __future__ import annotations

import math
from typing import Final

from aiolimiter import AsyncLimiter

MINUTE: Final = 60.0


class Rates:
    """Counts requests by token, over every face of one process; another process of the service counts for itself.

    Args:
        per_minute: Requests that one token may make.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._limiters: dict[int, AsyncLimiter] = {}

    async def take(self, token: int) -> int | None:
        """Count one request; None when there is room for it, else whole seconds after which there may be."""
        limiter = self._limiters.setdefault(token, AsyncLimiter(self.per_minute, MINUTE))
        if not limiter.has_capacity():
            return max(1, math.ceil(MINUTE / self.per_minute))
        await limiter.acquire()
        return None
