"""Events to a webhook: CloudEvents over HTTP, signed, so that the receiver knows who sent them and when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from penstock.model.cloud_events import MANY, ONE, CloudEvent
from penstock.model.errors import NotDelivered
from penstock.model.notifying import without_secrets
from penstock.model.redaction import redact
from penstock.model.signing import HEADER, signature

if TYPE_CHECKING:
    import httpx2

INSTALL: Final = "Events to a webhook need httpx2: pip install 'penstock[webhook]'."
LARGEST: Final = 512 * 1024
"""Bytes of one request, unless one event alone has more."""
_SHOWN: Final = 200


class WebhookSink:
    """See `ports.events.EventSink`. Delivered is what was answered with 2xx.

    Args:
        url: Where requests go.
        secret: What they are signed with.
        mode: `batch`: a JSON array of events; `structured`: a request for each.
        timeout: Seconds until the answer.
    """

    def __init__(self, *, url: str, secret: str, mode: str, timeout: float) -> None:
        self._url, self._secret, self._mode, self._timeout = url, secret, mode, timeout
        self._client: httpx2.AsyncClient | None = None

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """Request after request, each when the one before was answered."""
        client, sent = self._opened(), 0
        for count, kind, body in self._requests(events):
            why = await self._post(client, kind, body)
            if why is not None:
                raise NotDelivered(without_secrets(redact(why), self._url), delivered=sent)
            sent += count

    async def close(self) -> None:
        """Let the connection go."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _requests(self, events: Sequence[CloudEvent]) -> Iterator[tuple[int, str, bytes]]:
        """How many events, what kind of body, the body."""
        if self._mode == "structured":
            for event in events:
                yield 1, ONE, event.structured()
            return
        batch: list[bytes] = []
        size = 0
        for event in events:
            one = event.structured()
            if batch and size + len(one) > LARGEST:
                yield len(batch), MANY, b"[" + b",".join(batch) + b"]"
                batch, size = [], 0
            batch.append(one)
            size += len(one) + 1
        if batch:
            yield len(batch), MANY, b"[" + b",".join(batch) + b"]"

    async def _post(self, client: httpx2.AsyncClient, kind: str, body: bytes) -> str | None:
        """Why it was not delivered, or None."""
        import httpx2

        headers = {"Content-Type": kind, HEADER: signature(self._secret, body, int(time.time()))}
        try:
            answer = await client.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}".strip().rstrip(":")
        except (httpx2.InvalidURL, httpx2.StreamError) as error:
            return f"{type(error).__name__}: {error}"
        if answer.is_success:
            return None
        text = " ".join(answer.text.split())[:_SHOWN]
        return f"answered {answer.status_code} {answer.reason_phrase}{f': {text}' if text else ''}"

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            try:
                import httpx2
            except ImportError:
                raise NotDelivered(INSTALL) from None
            self._client = httpx2.AsyncClient(timeout=self._timeout, headers={"User-Agent": "penstock"})
        return self._client
