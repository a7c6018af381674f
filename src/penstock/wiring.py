"""The only place that connects adapters: settings, server, ledger, engine, client."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from socket import socket
from typing import Any

from penstock.config import Settings
from penstock.definition.registry import Registry
from penstock.engines.executor.resources import Resources
from penstock.engines.local.engine import LocalEngine
from penstock.ledger.migrate import newest, upgrade
from penstock.ledger.postgres import PostgresLedger
from penstock.model.errors import SettingError
from penstock.model.notifying import Notify
from penstock.model.printable import folder_name
from penstock.model.publishing import Publishing
from penstock.model.redaction import learn_secrets, redact
from penstock.model.results import Event
from penstock.model.states import KEPT_EVENTS, EventType
from penstock.operations.client import Client
from penstock.operations.delivering import Deliveries
from penstock.operations.following import Events
from penstock.operations.gateway import Gateway, Reach
from penstock.operations.noticing import Notices
from penstock.operations.overriding import Overrides
from penstock.operations.publishing import Publications
from penstock.operations.service import Service, service_on
from penstock.operations.tenant import TenantClient
from penstock.operations.tokens import Tokens
from penstock.planning.defaulting import Defaults
from penstock.ports.engine import OnEvent


@dataclass(frozen=True, slots=True)
class Database:
    """Where the ledger is. `notice` says in one line that it is an embedded server, if it is."""

    url: str
    notice: str | None = None


def find_database(settings: Settings) -> Database:
    """The database of the settings, or the embedded one, started if nobody runs it yet.

    Raises:
        SettingError: There is none, and the embedded server is not installed or cannot run here.
    """
    if settings.database_url is not None:
        return Database(settings.database_url)
    from penstock.ledger.embedded import EmbeddedServer

    server = EmbeddedServer(settings.home / "postgres")
    return Database(server.start(), server.notice)


_SAID: set[str] = set()


def say(notice: str | None) -> None:
    """One line for the person who started this, on stderr; once in a process."""
    if notice and notice not in _SAID:
        _SAID.add(notice)
        sys.stderr.write(f"{notice}\n")
        sys.stderr.flush()


def user_settings(kind: type[Any], settings: Settings) -> Any:
    """The app's own settings object: environment, then the `settings:` block of penstock.yaml.

    Raises:
        SettingError: A value is missing or does not fit; the message names it.
    """
    from pydantic import ValidationError
    from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

    block = dict(settings.user)

    class Sourced(kind):  # type: ignore[misc]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            base: Any = super()
            given: tuple[PydanticBaseSettingsSource, ...]
            given = base.settings_customise_sources(settings_cls, *sources, **named)
            return (*given, InitSettingsSource(settings_cls, init_kwargs=block))

    Sourced.__name__ = kind.__name__
    try:
        values = Sourced()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        if "Secret" in str(getattr(kind.model_fields.get(str(fault["loc"][0])), "annotation", "")):
            redact.learn(str(fault["input"]))  # a validator's own message may repeat it
        name = ".".join(str(part) for part in fault["loc"])
        why = redact(fault["msg"])
        msg = f"{kind.__name__}.{name}: {why}. Set it in the environment or under settings: in penstock.yaml."
        raise SettingError(msg) from None
    learn_secrets(values)
    return kind.model_construct(values.model_fields_set, **{name: getattr(values, name) for name in kind.model_fields})


@asynccontextmanager
async def open_client(
    registry: Registry,
    settings: Settings,
    *,
    handlers: Mapping[EventType, Sequence[Callable[..., Any]]] | None = None,
    database: Database | None = None,
) -> AsyncGenerator[Client]:
    """A client on the ledger that the settings say, migrated first.

    Args:
        registry: The app's definition.
        settings: The settings that hold.
        handlers: What the app wants called after events.
        database: The database, when it is known already.
    """
    async with open_operations(registry, settings, handlers=handlers, database=database) as operations:
        yield operations.client


@asynccontextmanager
async def open_operations(
    registry: Registry,
    settings: Settings,
    *,
    handlers: Mapping[EventType, Sequence[Callable[..., Any]]] | None = None,
    database: Database | None = None,
) -> AsyncGenerator[Service]:
    """All that a service offers, on the ledger that the settings say; nothing listens, and no schedule is fired.

    Args:
        registry: The app's definition.
        settings: The settings that hold.
        handlers: What the app wants called after events.
        database: The database, when it is known already.
    """
    async with (
        open_ledger(settings, database) as ledger,
        client_on(registry, settings, ledger, handlers or {}) as client,
    ):
        yield service_on(registry, ledger, client)


@asynccontextmanager
async def client_on(
    registry: Registry,
    settings: Settings,
    ledger: Any,
    handlers: Mapping[EventType, Sequence[Callable[..., Any]]],
    told: frozenset[EventType] = frozenset(),
) -> AsyncGenerator[Client]:
    """A client on an open ledger, with the local engine behind it.

    Args:
        registry: The app's definition.
        settings: The settings that hold.
        ledger: The ledger.
        handlers: What the app wants called after events.
        told: Events that somebody else wants as well, such as those who look at a service's stream.
    """
    resources = Resources(registry, lambda: user_settings(registry.settings or object, settings))
    wanted = wanted_events(settings, handlers) | told

    @asynccontextmanager
    async def open_engine(
        pipelines: Sequence[str], *, slots: int | None = None, on_event: OnEvent | None = None
    ) -> AsyncGenerator[LocalEngine]:
        await ledger.make_room((slots or settings.lanes) + 6)
        shapes = {name: await client.overrides.shape(registry.pipelines[name]) for name in pipelines}
        engine = LocalEngine(
            lambda: ledger.open_worker(registry.name, "local", wanted & KEPT_EVENTS),
            registry,
            resources,
            pipelines=pipelines,
            slots=slots or settings.lanes,
            connection=ledger.connection,
            work=settings.home / "work" / folder_name(registry.name),
            on_event=on_event,
            wanted_events=wanted,
            log_level=settings.level,
            shapes=shapes,
            wanted_ends=frozenset() if settings.notify is None else settings.notify.ends,
        )
        async with telling(registry.name, settings, ledger, resources.call, handlers), engine:
            yield engine

    client = Client(registry, ledger, open_engine, resources.call, lanes=settings.lanes)
    client.overrides = Overrides(registry, ledger, Defaults.of(settings.etl))
    resources.give(Client, client)
    try:
        yield client
    finally:
        await resources.close()


def wanted_events(settings: Settings, handlers: Collection[EventType]) -> frozenset[EventType]:
    """The types of events that somebody wants: functions of the app, or sinks."""
    return frozenset(handlers) if settings.events is None else settings.events.wanted.union(handlers)


@asynccontextmanager
async def telling(
    app: str,
    settings: Settings,
    ledger: PostgresLedger,
    call: Callable[..., Awaitable[Any]],
    handlers: Mapping[EventType, Sequence[Callable[..., Any]]],
) -> AsyncGenerator[None]:
    """While the block is open, events go to people, to functions of the app, and to sinks; at its end what is left."""
    async with AsyncExitStack() as stack:
        if settings.notify is not None:
            await stack.enter_async_context(notices_on(app, ledger, settings.notify).running())
        if settings.events is not None:
            await stack.enter_async_context(publications_on(app, ledger, settings.events).running())
        await stack.enter_async_context(Deliveries(app, ledger, call, handlers).running())
        yield


def publications_on(app: str, ledger: PostgresLedger, publishing: Publishing) -> Publications:
    """An app's sinks on an open ledger."""
    from penstock.observers.sinks import make_sink

    return Publications(
        app, ledger, publishing, lambda sink: make_sink(sink, environ=os.environ, connect=ledger.connection)
    )


@asynccontextmanager
async def open_tokens(app: str, settings: Settings, database: Database | None = None) -> AsyncGenerator[Tokens]:
    """The tokens of an app, on the ledger that the settings say."""
    async with open_ledger(settings, database) as ledger:
        tokens = Tokens(app, ledger)
        await tokens.open()
        yield tokens


@asynccontextmanager
async def open_service(
    registry: Registry,
    settings: Settings,
    *,
    handlers: Mapping[EventType, Sequence[Callable[..., Any]]] | None = None,
    database: Database | None = None,
) -> AsyncGenerator[Gateway]:
    """All that a service's faces need, on the ledger that the settings say. Nothing listens and nothing works yet."""
    from penstock.ledger.watching import Watch
    from penstock.observers.prometheus_metrics import PrometheusMetrics

    found = database if database is not None else await asyncio.to_thread(find_database, settings)
    watch = Watch(found.url)
    async with (
        open_ledger(settings, found) as ledger,
        client_on(registry, settings, ledger, handlers or {}, KEPT_EVENTS) as client,
    ):
        tokens = Tokens(registry.name, ledger)
        await tokens.open()

        def tenant(org: str) -> Reach:
            view = ledger.tenant(org)
            operations = service_on(registry, view, TenantClient.of(client, view, org))
            return Reach(operations=operations, events=Events(registry.name, view, org=org), org=org)

        gateway = Gateway(
            registry=registry,
            settings=settings,
            whole=Reach(operations=service_on(registry, ledger, client), events=Events(registry.name, ledger)),
            tenant=tenant,
            tokens=tokens,
            store=ledger,
            head=newest(),
            metrics=PrometheusMetrics(registry.name, watch.frame),
        )
        try:
            yield gateway
        finally:
            await watch.close()


@asynccontextmanager
async def running(gateway: Gateway, listening: socket) -> AsyncGenerator[tuple[str, asyncio.Task[Any]]]:
    """A service at work: it answers, fires schedules and carries out what is there. Gives its URL and its work.

    At the end it is not ready any more, answers what was asked, and hands back what does not finish in the setting's
    grace. The work ends by itself only when this process cannot go on.
    """
    from penstock.api.grpc.serving import serving as serving_grpc
    from penstock.api.http.serving import serving
    from penstock.observers.tracing import tracing

    settings, client, metrics = gateway.settings, gateway.whole.client, gateway.metrics
    with tracing(gateway.registry.name, settings.traces) as traces:
        heard = [each.heard for each in (metrics, traces) if each is not None]

        def on_event(event: Event) -> None:
            for hear in heard:
                hear(event)

        work = asyncio.create_task(client.work(on_event=on_event, stay=True), name="penstock-work")
        provider = None if traces is None else traces.provider
        try:
            async with (
                gateway.keeping(),
                gateway.whole.operations.scheduler.running(),
                serving(gateway, listening, tracer_provider=provider) as url,
                serving_grpc(gateway) as gateway.grpc,
            ):
                try:
                    yield url, work
                finally:
                    gateway.stopping.set()
        finally:
            await client.stop(settings.grace)
            await asyncio.gather(work, return_exceptions=True)


def notices_on(app: str, ledger: PostgresLedger, notify: Notify) -> Notices:
    """An app's notices on an open ledger."""
    from penstock.observers.apprise_notices import AppriseSender

    return Notices(app, ledger, AppriseSender(notify), notify)


@asynccontextmanager
async def open_ledger(settings: Settings, database: Database | None = None) -> AsyncGenerator[PostgresLedger]:
    """The ledger that the settings say, migrated first."""
    found = database if database is not None else await asyncio.to_thread(find_database, settings)
    say(found.notice)
    await asyncio.to_thread(upgrade, found.url)
    ledger = PostgresLedger(found.url, size=max(10, settings.lanes + 6))
    await ledger.open()
    try:
        yield ledger
    finally:
        await ledger.close()
