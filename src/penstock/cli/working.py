"""`worker`: carry out runs that others have planned."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED, say
from penstock.cli.options import AppOption, JsonOption, LanesOption
from penstock.cli.session import Session, open_session
from penstock.cli.spoken import counted

if TYPE_CHECKING:
    from penstock.model.results import Event
    from penstock.operations.client import Client


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("worker")(worker)


def worker(
    ctx: typer.Context,
    pipelines: Annotated[
        list[str] | None, typer.Argument(metavar="PIPELINE", help="Only runs of these; all of the app by default.")
    ] = None,
    *,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when nothing is left, with 1 if something failed here.")
    ] = False,
    lanes: LanesOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry out runs that others have planned, until stopped."""
    from penstock.cli.words import pick

    session = open_session(ctx, app, lanes=lanes)
    chosen = [pick(session.found, name) for name in pipelines or session.app.pipelines]
    counts: Counter[str] = Counter()
    session.ask(lambda client: _work(session, client, chosen, counts, stay=not until_done))
    if as_json:
        printing.document({"ended": dict(counts)})
    else:
        each = ", ".join(f"{number:,} {state}" for state, number in counts.items())
        printing.line(f"{counted(counts.total(), 'run')} ended here{f': {each}' if each else ''}.")
    if until_done and counts.total() > counts["completed"] + counts["skipped"]:
        raise typer.Exit(FAILED)


async def _work(session: Session, client: Client, chosen: list[Any], counts: Counter[str], *, stay: bool) -> None:
    import asyncio

    from penstock.cli.progress import ENDED, Lines
    from penstock.engines.local.signals import Stopper

    lines = {pipeline.name: Lines(pipeline) for pipeline in chosen}

    def heard(event: Event) -> None:
        if event.type in ENDED:
            counts[str(event.data["state"])] += 1
        if (line := lines.get(event.pipeline)) is not None:
            line(event)

    names = ", ".join(lines)
    say(f"Working on {names}{' until it is stopped' if stay else ''}, {session.settings.lanes} runs at once.")
    grace = session.settings.grace
    with Stopper(asyncio.get_running_loop(), lambda: client.stop(grace), (signal.SIGTERM, signal.SIGINT)):
        await client.work(chosen, on_event=heard, stay=stay)
