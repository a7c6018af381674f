"""OpenTelemetry traces over a real socket: requests, runs and attempts, in what a collector gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.api.conftest import Serve, until


class Collector(BaseHTTPRequestHandler):
    """Keeps what it gets."""

    spans: ClassVar[list[Span]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        found = ExportTraceServiceRequest.FromString(body)
        Collector.spans.extend(
            span for one in found.resource_spans for scope in one.scope_spans for span in scope.spans
        )
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.spans = []
    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()
    thread.join(10)
    server.server_close()


async def test_requests_runs_and_attempts_are_traced(
    serve: Serve, collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    served = await serve(traces=collector)
    caller = await served.caller("operator")
    failing = {"pipeline_id": "pipe_900", "parameters": {"fail": True}}
    for body in ({"pipeline_id": "pipe_456"}, failing):
        assert (await caller.post("/api/v1/etl/trigger", json=body)).status_code == 200

    def spans() -> dict[str, list[Span]]:
        found: dict[str, list[Span]] = {}
        for span in Collector.spans:
            found.setdefault(span.name, []).append(span)
        return found

    await until(lambda: len(spans().get("run ads", ())) == 2, "spans of both runs")
    found = spans()
    good = next(span for span in found["run ads"] if span.status.code == 0)
    bad = next(span for span in found["run ads"] if span.status.code == 2)
    assert "the report is no CSV" in bad.status.message
    steps = {span.name for spans in found.values() for span in spans if span.parent_span_id == good.span_id}
    assert steps == {"step bronze", "step silver", "step gold"}
    assert any("/api/v1/etl/trigger" in name for name in found), sorted(found)
