"""Figures for Prometheus: what this process answered and carried out, and how the ledger stands.

Labels are bounded by the code: pipelines, states, error classes, route templates. What is asked of the ledger is what
`penstock top` asks, whose queries read by indexes and stop counting; at most every five seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from penstock.model.results import Event
from penstock.ports.watching import Frame

FRESH: Final = 5.0
"""Seconds for which a look at the ledger holds."""
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class PrometheusMetrics:
    """See `ports.telling.RequestMetrics`.

    Args:
        app: Only this app's figures are shown.
        look: Looks at the ledger.
    """

    def __init__(self, app: str, look: Callable[[], Awaitable[Frame]]) -> None:
        self._app, self._look, self._looked = app, look, -FRESH
        self._looking = asyncio.Lock()
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "penstock_http_requests",
            "Requests answered by this process.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "penstock_http_request_seconds",
            "How long they took.",
            ["route", "method"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._executions = Counter(
            "penstock_executions", "Runs that ended in this process.", ["pipeline", "state"], registry=registry
        )
        self._attempts = Counter(
            "penstock_failed_attempts",
            "Attempts that failed in this process.",
            ["pipeline", "class"],
            registry=registry,
        )
        self._lanes = Gauge(
            "penstock_lanes_held", "Lanes that hold a run, by its state.", ["pipeline", "state"], registry=registry
        )
        self._queued = Gauge(
            "penstock_units_queued", "Units that wait for their lane; 10,001 is more.", registry=registry
        )
        self._deferred = Gauge(
            "penstock_runs_deferred", "Runs put off to a later time; 10,001 is more.", ["pipeline"], registry=registry
        )
        self._paused = Gauge(
            "penstock_pipeline_paused", "1 where nobody starts its runs.", ["pipeline"], registry=registry
        )
        self._failures = Gauge(
            "penstock_failures_last_hour", "Runs that failed within an hour.", ["pipeline", "class"], registry=registry
        )
        self._processes = Gauge("penstock_processes", "Processes by state.", ["state"], registry=registry)
        self._notices = Gauge("penstock_notices_waiting", "Notices to people that wait.", ["target"], registry=registry)
        self._used = Gauge("penstock_quota_used", "Used of a quota in its window.", ["quota"], registry=registry)
        self._limit = Gauge("penstock_quota_limit", "The quota's limit.", ["quota"], registry=registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request was answered."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route, known).observe(seconds)

    def heard(self, event: Event) -> None:
        """Something happened in this process's engine."""
        match event.type:
            case "execution.completed" | "execution.failed":
                self._executions.labels(event.pipeline, str(event.data.get("state"))).inc()
            case "attempt.failed":
                self._attempts.labels(event.pipeline, str(event.data.get("error_class") or "unknown")).inc()
            case _:
                pass

    async def page(self) -> tuple[bytes, str]:
        """All figures in Prometheus' text format."""
        async with self._looking:  # of many that ask at once one looks: it is open to all
            if time.monotonic() - self._looked >= FRESH:
                self._set(await self._look())
                self._looked = time.monotonic()
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def _set(self, frame: Frame) -> None:
        app = self._app
        for gauge in (self._lanes, self._deferred, self._paused, self._failures, self._processes, self._notices,
                      self._used, self._limit):  # fmt: skip
            gauge.clear()
        self._queued.set(sum(queue.queued for queue in frame.queues if queue.app == app))
        for lane in (each for each in frame.lanes if each.app == app):
            self._lanes.labels(lane.pipeline, lane.state).inc()
        for pipeline in (each for each in frame.pipelines if each.app == app):
            self._deferred.labels(pipeline.pipeline).set(pipeline.deferred)
            self._paused.labels(pipeline.pipeline).set(int(pipeline.paused))
        for failure in (each for each in frame.failures if each.app == app):
            self._failures.labels(failure.pipeline, failure.error_class or "unknown").set(failure.runs)
        for process in (each for each in frame.processes if each.app == app):
            self._processes.labels(process.state).inc()
        for notice in (each for each in frame.notices if each.app == app):
            self._notices.labels(notice.target).set(notice.waiting)
        for quota in (each for each in frame.quotas if each.app == app):
            self._used.labels(quota.name).set(float(quota.used))
            self._limit.labels(quota.name).set(float(quota.limit))
