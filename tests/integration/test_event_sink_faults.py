"""Sinks that lack something, that are answered by nobody, and what a signature is of."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.model.errors import NotDelivered
from penstock.model.redaction import redact
from penstock.model.signing import signature, verified
from penstock.testing.contracts.event_sink import SECRET, events
from tests.integration.event_servers import made


def test_a_signature_is_of_this_body_this_secret_and_this_time() -> None:
    header = signature(SECRET, b"body", 1_000)
    assert verified(SECRET, b"body", header, now=1_299)
    assert not verified(SECRET, b"body", header, now=1_301)
    assert not verified(SECRET, b"body", header, now=600)
    assert not verified(SECRET, b"Body", header, now=1_000)
    assert not verified("another", b"body", header, now=1_000)
    assert not verified(SECRET, b"body", header.replace("t=1000", "t=1001"), now=1_000)
    assert not verified(SECRET, b"body", "nonsense", now=1_000)


@pytest.mark.parametrize(
    ("module", "extra", "options"),
    [
        ("nats.aio.client", "nats", {"type": "nats", "servers": "nats://127.0.0.1:1"}),
        ("aiokafka", "kafka", {"type": "kafka", "brokers": "127.0.0.1:1"}),
        ("httpx2", "webhook", {"type": "webhook", "url": "http://127.0.0.1:1", "secret": "a-secret"}),
        ("openlineage.client.transport.http", "openlineage", {"type": "openlineage", "url": "http://127.0.0.1:1"}),
    ],
)
async def test_a_missing_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str, options: dict[str, Any]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    sink = made(**options)
    with pytest.raises(NotDelivered, match=rf"pip install 'penstock\[{extra}\]'"):
        await sink.send(events("execution.started"))
    await sink.close()


def test_what_is_secret_is_known_to_the_redaction() -> None:
    made(type="webhook", url="https://u:${SECRET}@host/x", secret="literal-in-the-file")
    assert redact(f"a {SECRET} and literal-in-the-file") == "a *** and ***"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    "options",
    [
        {"type": "nats", "servers": "nats://127.0.0.1:{port}", "timeout": 1},
        {"type": "kafka", "brokers": "127.0.0.1:{port}", "timeout": 1},
        {"type": "webhook", "url": "http://127.0.0.1:{port}", "secret": "a-secret", "timeout": 1},
        {"type": "openlineage", "url": "http://127.0.0.1:{port}", "timeout": 1},
    ],
    ids=lambda options: options["type"],
)
async def test_what_answers_nothing_is_not_waited_for_for_long(silent: int, options: dict[str, Any]) -> None:
    given = {name: value.format(port=silent) if isinstance(value, str) else value for name, value in options.items()}
    sink = made(**given)
    async with asyncio.timeout(15):
        with pytest.raises(NotDelivered) as refused:
            await sink.send(events("execution.started"))
        await sink.close()
    assert str(refused.value).strip()
    assert refused.value.delivered == 0
