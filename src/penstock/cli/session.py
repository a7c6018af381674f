"""What every command on an app needs: settings, logs on stderr, the app, and a client for one call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from penstock.cli.options import Choices

if TYPE_CHECKING:
    from penstock.app import App
    from penstock.cli.finding import Found
    from penstock.config import Settings
    from penstock.operations.client import Client
    from penstock.operations.service import Service

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """One command's settings and app."""

    settings: Settings
    found: Found

    @property
    def app(self) -> App:
        """The app."""
        return self.found.app

    def ask(self, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Run one piece of work with a client. What user's code prints goes to stderr: stdout is for data."""
        import asyncio

        async def inside() -> T:
            async with self.app.client(self.settings) as client:
                return await work(client)

        with redirect_stdout(sys.stderr):
            return asyncio.run(inside())

    def serve(self, work: Callable[[Service], Coroutine[Any, Any, T]]) -> T:
        """Run one piece of work with all that a service offers."""
        import asyncio

        from penstock.wiring import open_operations

        async def inside() -> T:
            app = self.app
            async with open_operations(
                app.registry, self.settings, handlers=app.handlers, database=app.database
            ) as service:
                return await work(service)

        with redirect_stdout(sys.stderr):
            return asyncio.run(inside())


def settings_for(
    ctx: typer.Context,
    app: str | None = None,
    lanes: int | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    as_json: bool = False,
) -> Settings:
    """The settings that hold for this command; logs follow them from here on.

    Args:
        ctx: The command's.
        app: What `--app` says.
        lanes: What `--lanes` says.
        flags: What other options say, by setting.
        as_json: Logs are one JSON object a line, for machines.

    Raises:
        SettingError: One does not fit.
    """
    from penstock.cli.logs import configure
    from penstock.config import load_settings

    choices = ctx.find_object(Choices)
    settings = load_settings({**(flags or {}), "app": app or (choices.app if choices else None), "lanes": lanes})
    configure(settings.level, as_json=as_json)
    return settings


def open_session(
    ctx: typer.Context,
    app: str | None,
    *,
    lanes: int | None = None,
    flags: Mapping[str, object] | None = None,
    as_json: bool = False,
) -> Session:
    """Settings and the app of this command.

    Raises:
        PenstockError: See `finding.find_app`.
    """
    from penstock.cli.finding import find_app

    settings = settings_for(ctx, app, lanes, flags=flags, as_json=as_json)
    with redirect_stdout(sys.stderr):
        found = find_app(settings)
    found.app.settings = settings
    return Session(settings, found)


def database_of(ctx: typer.Context) -> tuple[str, str]:
    """The ledger's database without an app: the URL to show, and the one to use."""
    from penstock.model.redaction import masked
    from penstock.wiring import find_database, say

    found = find_database(settings_for(ctx))
    say(found.notice)
    return masked(found.url), found.url
