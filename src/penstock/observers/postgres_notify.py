"""Events by NOTIFY in the ledger's own database: for whoever listens now; who does not reads `v1_events`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from penstock.model.cloud_events import CloudEvent, dumped
from penstock.model.errors import NotDelivered
from penstock.model.redaction import redact

LARGEST: Final = 7_999
"""Bytes of a payload that PostgreSQL takes."""
_SEND: Final = b"""
select pg_notify(%(channel)s, p.body) from unnest(%(bodies)s::text[]) with ordinality p(body, place) order by p.place
"""


class PostgresSink:
    """See `ports.events.EventSink`.

    Args:
        connect: Gives a connection that is committed when its block ends well.
        channel: What listeners LISTEN to.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[Any]], *, channel: str) -> None:
        self._connect, self._channel = connect, channel

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """All in one transaction, so listeners get all of them or none."""
        bodies = [payload(event).decode() for event in events]
        try:
            async with self._connect() as connection:
                await connection.execute(_SEND, {"channel": self._channel, "bodies": bodies})
        except Exception as error:
            raise NotDelivered(redact(f"{type(error).__name__}: {error}".strip())) from error

    async def close(self) -> None:
        """The connections are the ledger's."""


def payload(event: CloudEvent) -> bytes:
    """The event, or of one that is too large what it takes to look it up in `v1_events`."""
    whole = event.structured()
    if len(whole) <= LARGEST:
        return whole
    return dumped({**event.attributes(), "position": event.position, "truncated": True})
