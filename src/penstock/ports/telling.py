"""Counting what a service is asked, and showing it to who watches."""

from __future__ import annotations

from typing import Protocol

from penstock.model.results import Event


class RequestMetrics(Protocol):
    """Figures of one process."""

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered. `route` is the path's template, never the path: it must not grow without bound."""
        ...

    def heard(self, event: Event) -> None:
        """Something happened in this process's engine. Called in the event loop; quick."""
        ...

    async def page(self) -> tuple[bytes, str]:
        """All figures in Prometheus' text format, and its content type. Asks the ledger at most every five seconds.

        Raises:
            LedgerUnavailable: It does not answer.
        """
        ...
