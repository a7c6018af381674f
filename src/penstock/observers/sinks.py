"""Sinks as the settings say: each is made when it is first needed, so that what it lacks stops no run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from penstock.model.publishing import SinkSettings, expanded
from penstock.ports.events import EventSink


def make_sink(
    settings: SinkSettings,
    *,
    environ: Mapping[str, str],
    connect: Callable[[], AbstractAsyncContextManager[Any]],
) -> EventSink:
    """One sink.

    Args:
        settings: What was said of it.
        environ: Where its variables are.
        connect: Gives a connection to the ledger's database.

    Raises:
        SettingError: A variable is not set.
    """
    options = expanded(settings, environ)
    match settings.kind:
        case "postgres":
            from penstock.observers.postgres_notify import PostgresSink

            return PostgresSink(connect, **options)
        case "nats":
            from penstock.observers.nats_jetstream import NatsSink

            return NatsSink(**options)
        case "kafka":
            from penstock.observers.kafka_topic import KafkaSink

            return KafkaSink(**options)
        case "webhook":
            from penstock.observers.webhook import WebhookSink

            return WebhookSink(**options)
        case "openlineage":
            from penstock.observers.openlineage_runs import OpenLineageSink

            return OpenLineageSink(**options)
