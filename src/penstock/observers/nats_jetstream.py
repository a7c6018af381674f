"""Events to NATS JetStream: stored before they count as sent, and stored once, however often they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from penstock.model.cloud_events import ONE, CloudEvent
from penstock.model.errors import NotDelivered
from penstock.model.redaction import redact

if TYPE_CHECKING:
    from nats.aio.client import Client

INSTALL: Final = "Events to NATS need nats-py: pip install 'penstock[nats]'."
WINDOW: Final = 3_600.0
"""Seconds in which a stream that is made here knows an event again."""
_DAY: Final = 86_400.0


class NatsSink:
    """See `ports.events.EventSink`. The stream is made if no stream has the subject; one that is there stays as it is.

    Args:
        servers: Addresses such as `nats://host:4222`, of one cluster.
        subject: Where events go.
        stream: The name of a stream that is made.
        keep_days: How long such a stream keeps events.
        timeout: Seconds that one request may take.
        user: With `password`, who this is.
        password: See `user`.
        token: Instead of them.
        credentials: The path of a credentials file instead of them.
    """

    def __init__(
        self,
        *,
        servers: Sequence[str],
        subject: str,
        stream: str,
        keep_days: int,
        timeout: float,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        credentials: str | None = None,
    ) -> None:
        self._subject, self._stream, self._keep, self._timeout = subject, stream, keep_days * _DAY, timeout
        given = {"user": user, "password": password, "token": token, "user_credentials": credentials}
        self._options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._options["servers"] = list(servers)
        self._client: Client | None = None
        self._jetstream: Any = None
        self._said = ""

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """One after the other, each acknowledged: were several under way, a later one could overtake one that fails."""
        sent = 0
        try:
            jetstream = await self._connected()
            for event in events:
                headers = {"Nats-Msg-Id": str(event.id), "Content-Type": ONE}
                await jetstream.publish(self._subject, event.structured(), timeout=self._timeout, headers=headers)
                sent += 1
        except NotDelivered:
            raise
        except Exception as error:
            await self.close()
            said = f" ({self._said})" if self._said else ""
            why = redact(f"{type(error).__name__}: {error}".strip().rstrip(":") + said)
            raise NotDelivered(f"NATS: {why}", delivered=sent) from error

    async def close(self) -> None:
        """Let the connection go."""
        client, self._client, self._jetstream = self._client, None, None
        if client is not None and not client.is_closed:
            await client.close()

    async def _connected(self) -> Any:
        if self._jetstream is not None and self._client is not None and self._client.is_connected:
            return self._jetstream
        try:
            from nats.aio.client import Client
        except ImportError:
            raise NotDelivered(INSTALL) from None
        await self.close()
        self._said = ""
        client = self._client = Client()
        # Whoever delivers waits and tries again; a client that did so on its own would hold events in memory.
        await client.connect(
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=max(1, int(self._timeout)),
            name="penstock",
            error_cb=self._hear,
            **self._options,
        )
        untyped: Any = client
        jetstream = untyped.jetstream(timeout=self._timeout)
        await self._ensure_stream(jetstream)
        self._jetstream = jetstream
        return jetstream

    async def _ensure_stream(self, jetstream: Any) -> None:
        from nats.js.api import StreamConfig
        from nats.js.errors import BadRequestError, NotFoundError

        try:
            await jetstream.find_stream_name_by_subject(self._subject)
        except NotFoundError:
            config = StreamConfig(
                name=self._stream,
                subjects=[self._subject],
                max_age=self._keep,
                duplicate_window=min(WINDOW, self._keep),
            )
            try:
                await jetstream.add_stream(config)
            except BadRequestError:  # another process was faster, or the name is taken by a stream of other subjects
                await jetstream.find_stream_name_by_subject(self._subject)

    async def _hear(self, error: Exception) -> None:
        """What the client says beside its exceptions, such as why a server hung up."""
        self._said = str(error) or type(error).__name__
