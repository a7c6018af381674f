"""`top`: what goes on in a ledger, looked at again and again."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import printing
from penstock.cli.options import JsonOption
from penstock.cli.session import settings_for

if TYPE_CHECKING:
    from rich.live import Live

    from penstock.ledger.watching import Watch
    from penstock.ports.watching import Frame


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("top")(top)


def top(
    ctx: typer.Context,
    *,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", min=0.2, max=3600, help="Look again after so long.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once, as in a pipe.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch what goes on in the ledger; Ctrl-C ends it."""
    import asyncio

    from penstock.ledger.watching import Watch
    from penstock.model.redaction import masked
    from penstock.wiring import find_database, say

    found = find_database(settings_for(ctx))
    say(found.notice)
    watch, where = Watch(found.url), masked(found.url)
    if as_json:
        printing.document(_document(asyncio.run(_once(watch))))
    elif once or not sys.stdout.isatty():
        _print(asyncio.run(_once(watch)), where)
    else:
        with suppress(KeyboardInterrupt):  # the way to end it
            asyncio.run(_watch(watch, where, every))


async def _once(watch: Watch) -> Frame:
    try:
        return await watch.frame()
    finally:
        await watch.close()


async def _watch(watch: Watch, where: str, every: float) -> None:
    """Look and draw until somebody ends it; a database that does not answer is said and asked again."""
    import asyncio

    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    resized = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, resized.set)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        screen = _Screen(live, where)
        looking = asyncio.create_task(_look(watch, screen, every))
        try:
            while not looking.done():  # draw at once when the window changes, whatever the looking waits for
                turned = asyncio.create_task(resized.wait())
                await asyncio.wait([looking, turned], return_when=asyncio.FIRST_COMPLETED)
                turned.cancel()
                resized.clear()
                screen.draw()
            looking.result()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await watch.close()


class _Screen:
    """The last frame, and why there is no newer one."""

    def __init__(self, live: Live, where: str) -> None:
        self._live, self._where = live, where
        self.frame: Frame | None = None
        self.fault: str | None = None

    def draw(self) -> None:
        """Fit it into the window as it is now."""
        from penstock.cli.frames import frame_view

        size = self._live.console.size
        self._live.update(
            frame_view(self.frame, self._where, self.fault, height=size.height, width=size.width), refresh=True
        )


async def _look(watch: Watch, screen: _Screen, every: float) -> None:
    import asyncio

    from penstock.model.errors import LedgerUnavailable

    while True:
        try:
            screen.frame, screen.fault = await watch.frame(), None
        except LedgerUnavailable as error:
            screen.fault = " ".join(str(error).split())
        screen.draw()
        await asyncio.sleep(every)


def _print(frame: Frame, where: str) -> None:
    from rich.console import Console

    from penstock.cli.frames import frame_view

    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
    console.print(frame_view(frame, where, None, height=None, width=console.width))


def _document(frame: Frame) -> dict[str, Any]:
    from dataclasses import asdict

    document = asdict(frame)
    for shown, one in zip(document["pipelines"], frame.pipelines, strict=True):
        shown["per_minute"] = round(one.per_minute, 1)
    return document
