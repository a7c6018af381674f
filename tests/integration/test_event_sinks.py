"""Every sink against the real thing: PostgreSQL, NATS JetStream, Kafka, and a web server's socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest
import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.model.errors import NotDelivered
from penstock.model.signing import HEADER, verified
from penstock.ports.events import EventSink
from penstock.testing.contracts.event_sink import SECRET, Arrived, EventSinkContract, OtherSide, events, until
from tests.integration.event_servers import Hook, Kafka, Nats, made


def of_document(document: dict[str, Any]) -> Arrived:
    assert document["specversion"] == "1.0"
    assert document["source"] == "/penstock/contract"
    assert document["partitionkey"] == document["subject"]
    return Arrived(
        type=document["type"], run=UUID(document["subject"]), id=UUID(document["id"]), data=document.get("data")
    )


def once(found: Sequence[Arrived]) -> list[Arrived]:
    """Without those that were there already, as a receiver does it."""
    return list({one.id: one for one in found}.values())


# PostgreSQL


class Listener(OtherSide):
    def __init__(self, ledger: PostgresLedger, url: str) -> None:
        self._ledger, self._url, self._down = ledger, url, False
        self._got: list[Arrived] = []
        self.connection: psycopg.AsyncConnection[Any] | None = None

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Any]:
        if self._down:  # as if the server were restarted under a transaction
            async with self._ledger.connection() as connection:
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        async with self._ledger.connection() as connection:
            yield connection

    def sink(self) -> EventSink:
        return made(self._connect, type="postgres")

    async def arrived(self) -> Sequence[Arrived]:
        assert self.connection is not None
        async for note in self.connection.notifies(timeout=0.01):
            assert note.channel == "etl_events"
            assert len(note.payload.encode()) < 8000
            self._got.append(of_document(json.loads(note.payload)))
        return once(self._got)

    async def go_down(self) -> None:
        self._down = True

    async def come_up(self) -> None:
        self._down = False


class TestPostgres(EventSinkContract):
    @pytest_asyncio.fixture
    async def other(self, database_url: str) -> AsyncIterator[Listener]:
        ledger = PostgresLedger(database_url)
        await ledger.open()
        listener = Listener(ledger, database_url)
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("listen etl_events")
            listener.connection = connection
            yield listener
        await ledger.close()

    async def test_of_what_is_too_large_there_is_enough_to_look_it_up(self, other: Listener) -> None:
        (sent,) = events("execution.failed", error="ü" * 8_000)
        await other.sink().send([sent])
        (one,) = await until(lambda found: len(found) >= 1, other)
        assert (one.id, one.type, one.data) == (sent.id, sent.type, None)


# NATS


class JetStream(OtherSide):
    def __init__(self, server: Nats) -> None:
        self._server = server

    def sink(self) -> EventSink:
        return made(type="nats", servers=f"nats://127.0.0.1:{self._server.port}", token="${SECRET}", timeout=2)

    async def arrived(self) -> Sequence[Arrived]:
        return [of_document(one) for one in await self._server.stored("etl.events", "ETL_EVENTS")]

    async def go_down(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def come_up(self) -> None:
        await asyncio.to_thread(self._server.start)


class TestNats(EventSinkContract):
    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[JetStream]:
        server = Nats(tmp_path, SECRET)
        server.start()
        yield JetStream(server)
        server.stop()

    async def test_a_wrong_token_is_said_and_not_shown(self, other: JetStream) -> None:
        port = other._server.port
        sink = made(type="nats", servers=[f"nats://127.0.0.1:{port}"], token="wr0ng-token-of-mine", timeout=2)
        with pytest.raises(NotDelivered, match=r"(?i)authorization") as refused:
            await sink.send(events("execution.started"))
        assert "wr0ng" not in str(refused.value)
        await sink.close()


# Kafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    server = Kafka(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


class Topic(OtherSide):
    def __init__(self, server: Kafka, name: str) -> None:
        self._server, self._name = server, name
        self.partitions: dict[UUID, set[int]] = {}

    def sink(self) -> EventSink:
        return made(type="kafka", brokers=f"127.0.0.1:{self._server.port}", topic=self._name, timeout=4)

    async def arrived(self) -> Sequence[Arrived]:
        found: list[Arrived] = []
        for key, partition, headers, data in await self._server.stored(self._name):
            assert headers.pop("content-type") == "application/json"
            attributes = {name.removeprefix("ce_"): value for name, value in headers.items()}
            assert key == attributes["subject"]
            self.partitions.setdefault(UUID(key), set()).add(partition)
            found.append(of_document({**attributes, "data": data}))
        assert all(len(numbers) == 1 for numbers in self.partitions.values()), "a run's events are in one partition"
        return once(found)

    async def go_down(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def come_up(self) -> None:
        await asyncio.to_thread(self._server.start)


class TestKafka(EventSinkContract):
    @pytest.fixture
    def other(self, broker: Kafka, request: pytest.FixtureRequest) -> Topic:
        return Topic(broker, f"etl.events.{abs(hash(request.node.name))}")


# Webhook


class Receiver(OtherSide):
    mode = "batch"

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def sink(self) -> EventSink:
        url = f"http://127.0.0.1:{self.hook.port}/hooks/${{SECRET}}"
        return made(type="webhook", url=url, secret="${SECRET}", mode=self.mode, timeout=2)

    async def arrived(self) -> Sequence[Arrived]:
        found: list[Arrived] = []
        for post in self.hook.posts:
            assert post.path == f"/hooks/{SECRET}"
            assert verified(SECRET, post.body, post.headers[HEADER.lower()])
            body: Any = json.loads(post.body)
            many = post.headers["content-type"] == "application/cloudevents-batch+json"
            assert many or post.headers["content-type"] == "application/cloudevents+json"
            documents: Any = body if many else [body]
            found += [of_document(one) for one in documents]
        return once(found)

    async def go_down(self) -> None:
        self.hook.status, self.hook.says = 500, f"no room for {SECRET}".encode()

    async def come_up(self) -> None:
        self.hook.status, self.hook.says = 200, b""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        yield server


class TestWebhook(EventSinkContract):
    @pytest.fixture
    def other(self, hook: Hook) -> Receiver:
        return Receiver(hook)

    async def test_many_events_are_few_requests_and_none_is_too_large(self, other: Receiver) -> None:
        sink = other.sink()
        sent = [one for _ in range(60) for one in events("execution.failed", error="x" * 20_000)]
        await sink.send(sent)
        await sink.close()
        assert 1 < len(other.hook.posts) < 6
        assert all(len(post.body) <= 513 * 1024 for post in other.hook.posts)
        assert [one.id for one in await other.arrived()] == [one.id for one in sent]

    @pytest.mark.parametrize("status", [301, 400, 401, 404, 408, 429, 503])
    async def test_all_but_2xx_is_not_delivered_and_says_what_was_answered(self, other: Receiver, status: int) -> None:
        other.hook.status, other.hook.says = status, b"because\n  of this"
        sink = other.sink()
        with pytest.raises(NotDelivered, match=f"answered {status} .*because of this"):
            await sink.send(events("execution.started"))
        await sink.close()


class TestWebhookOneByOne(EventSinkContract):
    @pytest.fixture
    def other(self, hook: Hook) -> Receiver:
        receiver = Receiver(hook)
        receiver.mode = "structured"
        return receiver

    async def test_what_was_taken_before_a_refusal_is_told(self, other: Receiver) -> None:
        sink = other.sink()
        sent = events("execution.started", "layer.completed", "execution.completed")
        taken = len(other.hook.posts)

        class Refusing(list[Any]):
            def append(self, one: Any) -> None:
                super().append(one)
                if len(self) == taken + 2:
                    other.hook.status = 503

        other.hook.posts = Refusing()
        with pytest.raises(NotDelivered) as refused:
            await sink.send(sent)
        assert refused.value.delivered == 2
        await sink.close()


# OpenLineage

_TYPES = {"START": "execution.started", "COMPLETE": "execution.completed", "FAIL": "execution.failed"}


class Lineage(OtherSide):
    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def sink(self) -> EventSink:
        return made(type="openlineage", url=f"http://127.0.0.1:{self.hook.port}", api_key="${SECRET}", timeout=2)

    async def arrived(self) -> Sequence[Arrived]:
        found: dict[tuple[str, str], Arrived] = {}
        for post in self.hook.posts:
            assert (post.path, post.headers["authorization"]) == ("/api/v1/lineage", f"Bearer {SECRET}")
            event = json.loads(post.body)
            assert event["job"]["namespace"] == "contract"
            run, kind = event["run"]["runId"], _TYPES[event["eventType"]]
            parent = event["run"].get("facets", {}).get("parent")
            if parent is not None:
                assert run == str(uuid5(UUID(parent["run"]["runId"]), "write"))
                assert event["job"]["name"] == "letters.write"
                run, kind = parent["run"]["runId"], "layer.completed"
            else:
                assert event["job"]["name"] == "letters"
            found.setdefault((run, kind), Arrived(type=kind, run=UUID(run)))
        return list(found.values())

    async def go_down(self) -> None:
        self.hook.status = 500

    async def come_up(self) -> None:
        self.hook.status = 200


class TestOpenLineage(EventSinkContract):
    @pytest.fixture
    def other(self, hook: Hook) -> Lineage:
        return Lineage(hook)

    async def test_errors_and_counts_are_facets(self, other: Lineage) -> None:
        sink = other.sink()
        (layer,) = events("layer.completed", counts={"read": 9, "written": 7, "bytes": 70})
        (failed,) = events("execution.failed", error="bad row", state="failed", first=2)
        (issue,) = events("quality.issue_detected", first=3)  # OpenLineage has no word for it
        await sink.send([layer, failed, issue])
        await sink.close()
        first, second = (json.loads(post.body) for post in other.hook.posts)
        statistics = first["outputs"][0]["outputFacets"]["outputStatistics"]
        assert (statistics["rowCount"], statistics["size"]) == (7, 70)
        assert second["run"]["facets"]["errorMessage"]["message"] == "bad row"
        assert second["eventTime"].startswith("2026-03-01T00:00:00")
