"""Events to Kafka: keyed by run, so that a run's events are in one partition and in order."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import NotDelivered
from penstock.model.redaction import redact

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

INSTALL: Final = "Events to Kafka need aiokafka: pip install 'penstock[kafka]'."
_GOODBYE: Final = 2.0
"""Seconds for what is under way when a connection is let go."""


class KafkaSink:
    """See `ports.events.EventSink`. Messages are in CloudEvents' binary mode: the data, and the rest in `ce_` headers.

    Args:
        brokers: `host:port` of some of them.
        topic: Where events go; it is there, or the brokers make topics.
        security: The protocol.
        mechanism: How a user is told from others, with a protocol of SASL.
        timeout: Seconds that one request may take.
        user: With `password`, who this is.
        password: See `user`.
        ca_file: The path of certificates to trust instead of the system's.
    """

    def __init__(
        self,
        *,
        brokers: Sequence[str],
        topic: str,
        security: str,
        mechanism: str,
        timeout: float,
        user: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._topic, self._timeout, self._ca_file, self._security = topic, timeout, ca_file, security
        self._options: dict[str, Any] = {
            "bootstrap_servers": list(brokers),
            "security_protocol": security,
            "request_timeout_ms": int(timeout * 1000),
            "client_id": "penstock",
        }
        if security.startswith("SASL"):
            self._options |= {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": password,
            }
        self._producer: AIOKafkaProducer | None = None

    async def send(self, events: Sequence[CloudEvent]) -> None:
        """All at once: the producer is idempotent, and keeps the order within a partition through its own retries."""
        sent = 0
        try:
            async with asyncio.timeout(self._timeout * 2):
                producer = await self._started()
                under_way = [await self._put(producer, event) for event in events]
                for one in under_way:
                    await one
                    sent += 1
        except NotDelivered:
            raise
        except Exception as error:
            await self.close()
            why = f"no answer within {self._timeout * 2:g} s" if isinstance(error, TimeoutError) else _said(error)
            raise NotDelivered(f"Kafka: {redact(why)}", delivered=sent) from error

    async def close(self) -> None:
        """Let the producer go; what it could not send was not delivered."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_GOODBYE):
                await producer.stop()
        except Exception:  # noqa: BLE001 - it is of no use any more, whatever it says
            await producer.client.close()

    async def _put(self, producer: AIOKafkaProducer, event: CloudEvent) -> asyncio.Future[Any]:
        attributes = event.attributes()
        content = attributes.pop("datacontenttype")
        headers = [("content-type", content.encode())]
        headers += [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        untyped: Any = producer
        under_way: asyncio.Future[Any] = await untyped.send(
            self._topic,
            event.body(),
            key=str(event.run).encode(),
            headers=headers,
            timestamp_ms=int(event.time.timestamp() * 1000),
        )
        return under_way

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        try:
            from aiokafka import AIOKafkaProducer
        except ImportError:
            raise NotDelivered(INSTALL) from None
        context = ssl.create_default_context(cafile=self._ca_file) if self._security.endswith("SSL") else None
        producer = AIOKafkaProducer(enable_idempotence=True, acks="all", ssl_context=context, **self._options)
        self._producer = producer
        await producer.start()
        return producer


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().rstrip(":")
