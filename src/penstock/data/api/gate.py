"""Nobody asks a server again before it said so: one gate for all who share a client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from penstock.model.errors import RateLimited
from penstock.model.http_answers import asks_for_a_pause, limit, remaining, wait


class Gate:
    """Closed while the server's window is used up.

    Args:
        patience: Seconds: a wait of at most so long is waited out here.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._until: dict[str, tuple[float, str]] = {}

    async def enter(self, host: str) -> None:
        """Go through, or wait a little.

        Raises:
            RateLimited: It stays closed for longer.
        """
        clock = asyncio.get_running_loop().time
        while host in self._until:
            until, why = self._until[host]
            seconds = until - clock()
            if seconds <= 0:
                self._until.pop(host, None)
            elif seconds > self._patience:
                raise RateLimited(f"{host} {why}; it is asked again in {seconds:.1f} s.", retry_after=seconds, api=host)
            else:
                await asyncio.sleep(seconds)

    def heed(self, host: str, status: int, headers: Mapping[str, str]) -> None:
        """Close, where an answer says that this window has nothing left, or asks for a pause."""
        left = remaining(headers)
        if left != 0 and not asks_for_a_pause(status, headers):
            return
        seconds = wait(headers, datetime.now(UTC))
        if seconds:
            size = limit(headers)
            why = "asked for a pause" if left != 0 else f"has let through all {size or 'calls'} of this window"
            until = asyncio.get_running_loop().time() + seconds
            known = self._until.get(host)
            if known is None or known[0] < until:
                self._until[host] = until, why
