"""OpenTelemetry traces by OTLP over HTTP: a span for each run, with one for each attempt; requests have FastAPI's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from uuid import UUID

from penstock.model.errors import SettingError
from penstock.model.redaction import redact
from penstock.model.results import Event

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

MOST = 50_000
"""Spans that are open at once at most; of more runs none is traced."""


class Traces:
    """Makes spans of what happens in this process.

    Args:
        provider: Where spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("penstock", version("penstock"))
        self._runs: dict[UUID, Span] = {}
        self._attempts: dict[tuple[UUID, str], Span] = {}

    def heard(self, event: Event) -> None:
        """Something happened."""
        run = event.run
        if run is None:
            return
        step = str(event.data.get("step", ""))
        match event.type:
            case "execution.started":
                if len(self._runs) < MOST:
                    facts = {"penstock.run": str(run), "penstock.pipeline": event.pipeline}
                    self._runs[run] = self._tracer.start_span(
                        f"run {event.pipeline}", start_time=_ns(event.time), attributes=facts
                    )
            case "attempt.started":
                if (parent := self._runs.get(run)) is not None:
                    from opentelemetry.trace import set_span_in_context

                    self._attempts[run, step] = self._tracer.start_span(
                        f"step {step}", context=set_span_in_context(parent), start_time=_ns(event.time),
                        attributes={"penstock.step": step, "penstock.attempt": int(event.data.get("attempt", 0))},
                    )  # fmt: skip
            case "attempt.completed" | "attempt.failed":
                _end(self._attempts.pop((run, step), None), event)
            case "execution.completed" | "execution.failed" | "execution.waiting":
                for key in [key for key in self._attempts if key[0] == run]:
                    _end(self._attempts.pop(key), event)
                _end(self._runs.pop(run, None), event)
            case _:
                pass


def _end(span: Span | None, event: Event) -> None:
    if span is None:
        return
    from opentelemetry.trace import StatusCode

    error = event.data.get("error")
    if error:
        span.set_status(StatusCode.ERROR, redact(str(error))[:1_000])
        span.set_attribute("error.type", str(event.data.get("error_class") or "unknown"))
    if (state := event.data.get("state")) is not None:
        span.set_attribute("penstock.state", str(state))
    span.end(end_time=_ns(event.time))


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)


@contextmanager
def tracing(app: str, endpoint: str | None) -> Generator[Traces | None]:
    """Traces that go to this collector while the block runs; None without one.

    Raises:
        SettingError: OpenTelemetry is not installed.
    """
    if endpoint is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingError("traces= needs OpenTelemetry: pip install 'penstock[traces]'.") from None
    known: dict[str, Any] = {"service.name": "penstock", "service.version": version("penstock"), "penstock.app": app}
    provider = TracerProvider(resource=Resource.create(known))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    try:
        yield Traces(provider)
    finally:
        provider.shutdown()
