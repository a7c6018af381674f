"""The app: pipelines, what their steps share, and a script's way in."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias
from uuid import UUID

from typing_extensions import TypeVar

from penstock.config import Settings, load_settings
from penstock.definition.pipeline import Pipeline
from penstock.definition.registry import Registry, wants_of
from penstock.model.errors import DefinitionError, PenstockError
from penstock.model.results import Event, Gap, Plan, Summary
from penstock.model.states import EVENT_TYPES, ErrorClass, EventType
from penstock.model.values import Day

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

    from penstock.operations.client import Client
    from penstock.wiring import Database

U = TypeVar("U", default=Day)
T = TypeVar("T")
P = ParamSpec("P")
Handled: TypeAlias = Literal["execution.completed", "execution.failed"]
_HANDLED: tuple[Handled, ...] = ("execution.completed", "execution.failed")


class App:
    """Pipelines, and what their steps share.

    Args:
        name: Unique among the apps of a ledger.
        pipelines: All of them, with their steps.
        settings: A pydantic `BaseSettings` class; the environment fills it, then `settings:` in penstock.yaml.
        resources: What steps share, told apart by type: values, classes (made once, their constructor's parameters
            filled the same way), or functions that return or yield one. A context manager is entered when it is first
            asked for and left when the app stops.
        errors: Exceptions of other libraries and their class, such as `{VendorDown: "network"}`.
        timezone: The zone of pipelines that name none.

    Raises:
        DefinitionError: Something is written wrong; the message names it and the way out.
    """

    def __init__(
        self,
        name: str,
        pipelines: Sequence[Pipeline[Any]],
        *,
        settings: type[BaseSettings] | None = None,
        resources: Sequence[object] = (),
        errors: Mapping[type[Exception], ErrorClass] | None = None,
        timezone: str = "UTC",
    ) -> None:
        from penstock.operations.client import Client

        self.registry = Registry(
            name, pipelines, settings=settings, resources=resources, errors=errors, own={Client: "ps.Client"}
        )
        for pipeline in pipelines:
            pipeline.timezone = pipeline.timezone or timezone
        self.handlers: dict[EventType, list[Callable[..., Any]]] = {}
        self.settings: Settings | None = None
        self.database: Database | None = None
        self._session: _Session | None = None

    @property
    def name(self) -> str:
        """The app's name."""
        return self.registry.name

    @property
    def pipelines(self) -> Mapping[str, Pipeline[Any]]:
        """Its pipelines by name."""
        return self.registry.pipelines

    def pipeline(self, name: str) -> Pipeline[Any]:
        """The pipeline of this name.

        Raises:
            NotFound: There is none; the message names the nearest.
        """
        return self.registry.pipeline(name)

    def on(self, event: Handled) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """Call this function when it happens: after it is on disk, at least once, its parameters filled by type.

        Raises:
            DefinitionError: There is no such event, or a parameter cannot be filled.
        """
        if event not in _HANDLED:
            known = ", ".join(_HANDLED)
            more = "" if event not in EVENT_TYPES else f" {event} is told to on_event= of app.run."
            msg = f"App({self.name!r}).on({event!r}): there is no such event; there are {known}.{more}"
            raise DefinitionError(msg)

        def register(handler: Callable[P, T]) -> Callable[P, T]:
            for name, want in wants_of(handler).items():
                if want is not Event:
                    self.registry.check_shared(f"{self.name}.on({event!r}), {handler.__name__}", name, want)
            self.handlers.setdefault(event, []).append(handler)
            return handler

        return register

    def client(self, settings: Settings | None = None) -> AbstractAsyncContextManager[Client]:
        """Every operation that the command line and the API have, for async code."""
        from penstock.wiring import open_client

        chosen = settings or self.settings or load_settings()
        return open_client(self.registry, chosen, handlers=self.handlers, database=self.database)

    def plan(
        self,
        pipeline: Pipeline[U],
        *,
        units: Iterable[U] | None = None,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
    ) -> Plan[U]:
        """What would run, and what would not and why. Blocks; see `Client.plan`."""
        session = self._open()
        plan = session.run(
            session.client.plan(pipeline, units=units, where=where, start=start, end=end, force=force, params=params)
        )
        return _with_pages(plan, lambda: self._pages(plan))

    def apply(
        self,
        plan: Plan[U] | UUID | int,
        *,
        lanes: int | None = None,
        on_event: Callable[[Event], None] | None = None,
        triggered_by: str = "manual",
    ) -> Summary[U]:
        """Run exactly this plan. Blocks; see `Client.apply`.

        SIGTERM and the first SIGINT stop it: steps that execute may finish within the setting `grace`, the rest is
        handed back. A second SIGINT ends the process at once; nothing that was recorded is lost.
        """
        session = self._open()
        with session.stopping():
            return session.run(session.client.apply(plan, lanes=lanes, on_event=on_event, triggered_by=triggered_by))

    def run(
        self,
        pipeline: Pipeline[U],
        *,
        units: Iterable[U] | None = None,
        where: Mapping[str, object] | None = None,
        start: date | None = None,
        end: date | None = None,
        force: bool = False,
        params: object = None,
        lanes: int | None = None,
        on_event: Callable[[Event], None] | None = None,
        triggered_by: str = "manual",
    ) -> Summary[U]:
        """Plan and apply in one. Blocks; see both."""
        plan = self.plan(pipeline, units=units, where=where, start=start, end=end, force=force, params=params)
        return self.apply(plan, lanes=lanes, on_event=on_event, triggered_by=triggered_by)

    def close(self) -> None:
        """Give connections back; done by itself when the process ends."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _pages(self, plan: Plan[Any]) -> Iterator[Sequence[Gap[Any]]]:
        session, after = self._open(), 0
        while True:
            page, after = session.run(session.client.gap_page(plan, after))
            if not page:
                return
            yield page

    def _open(self) -> _Session:
        if self._session is None:
            self._session = _Session(self)
        return self._session


class _Session:
    """One event loop and one client for a script's calls."""

    def __init__(self, app: App) -> None:
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            msg = "app.plan, app.apply and app.run block; in async code use 'async with app.client() as client'."
            raise PenstockError(msg)
        self._settings = app.settings or load_settings()
        self._runner = asyncio.Runner()
        self._context = app.client(self._settings)
        try:
            self.client: Client = self._runner.run(self._context.__aenter__())
        except BaseException:
            self._runner.close()
            raise
        atexit.register(self.close)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        return self._runner.run(work)

    @contextlib.contextmanager
    def stopping(self) -> Generator[None]:
        """SIGTERM and SIGINT stop the client's work while this block runs."""
        from penstock.engines.local.signals import Stopper

        loop = self._runner.get_loop()
        with Stopper(loop, lambda: self.client.stop(self._settings.grace), (signal.SIGTERM, signal.SIGINT)):
            yield

    def close(self) -> None:
        """Leave the client and end the loop."""
        atexit.unregister(self.close)
        try:
            self._runner.run(self._context.__aexit__(None, None, None))
        finally:
            self._runner.close()


def _with_pages(plan: Plan[U], pages: Callable[[], Iterator[Sequence[Gap[U]]]]) -> Plan[U]:
    from dataclasses import replace

    return replace(plan, pages=pages)
