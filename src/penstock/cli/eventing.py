"""`events`: what happened, and how far each sink is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED, WrongUse
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import Session, open_session
from penstock.cli.spoken import counted, moment

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.ledger.postgres import PostgresLedger
    from penstock.ports.events import LoggedEvent, Reader

T = TypeVar("T")
PAUSE = 0.5
"""Seconds between looks for what is new."""
PAGE = 200

TypeOption = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only of this type, such as execution.failed.")
]
RunOption = Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only of this run: its number or UUID.")]
LinesOption = Annotated[bool, typer.Option("--json", help="Print each event as a line of JSON, in CloudEvents' form.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Look at events, and at the sinks that they go to.")
    commands.command("list")(list_events)
    commands.command("tail")(tail)
    commands.command("sinks")(sinks)
    commands.command("send")(send)
    commands.command("drop")(drop)
    cli.add_typer(commands, name="events")


def list_events(
    ctx: typer.Context,
    *,
    types: TypeOption = None,
    run: RunOption = None,
    after: Annotated[
        int, typer.Option("--after", metavar="POSITION", min=0, help="Only after this place in the log.")
    ] = 0,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 50,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """List events, oldest first. The next page begins after the last position."""
    session = open_session(ctx, app)
    wanted, of_run = _types(types), _run(run)

    async def work(ledger: PostgresLedger) -> Sequence[LoggedEvent]:
        only = None if of_run is None else _number(ledger, of_run)
        return await ledger.logged_events(session.app.name, after=after, types=wanted, run=only, limit=limit)

    found = _ask(session, work)
    if as_json:
        printing.document([_document(session, event) for event in found])
        return
    printing.table(
        ["position", "time", "type", "run", "pipeline", "step", "data"],
        [[e.position, moment(e.at), e.type, e.run_id, e.pipeline, e.step, _said(e)] for e in found],
        right=["position", "run"],
    )
    if len(found) == limit:
        printing.line(f"There may be more: --after {found[-1].position}.")


def tail(
    ctx: typer.Context,
    *,
    types: TypeOption = None,
    run: RunOption = None,
    after: Annotated[
        int | None,
        typer.Option("--after", metavar="POSITION", min=0, help="Begin after this place, and not with what is new."),
    ] = None,
    app: AppOption = None,
    as_json: LinesOption = False,
) -> None:
    """Print events as they happen, until Ctrl-C. There are those that a sink or a function of the app wants."""
    import asyncio

    session = open_session(ctx, app)
    wanted, of_run = _types(types), _run(run)

    async def work(ledger: PostgresLedger) -> None:
        only = None if of_run is None else _number(ledger, of_run)
        place = await ledger.last_event(session.app.name) if after is None else after
        while True:
            found = await ledger.logged_events(session.app.name, after=place, types=wanted, run=only, limit=PAGE)
            for event in found:
                printing.line(_line(session, event, as_json=as_json))
                place = event.position
            sys.stdout.flush()
            if len(found) < PAGE:
                await asyncio.sleep(PAUSE)

    _ask(session, work)


def sinks(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """List the readers of events: how far each is, what waits for it, and why it was refused. Secrets are not shown."""
    session = open_session(ctx, app)
    found = state_of(session)
    kinds = _kinds(session)
    if as_json:
        document = [
            {
                "sink": one.name, "type": kinds.get(one.name), "position": one.position, "waiting": one.waiting,
                "oldest": one.oldest, "sent_at": one.sent_at, "tries": one.tries, "error": one.error,
                "next_at": one.next_at,
            }
            for one in found
        ]  # fmt: skip
        printing.document(document)
        return
    printing.table(
        ["sink", "type", "position", "waiting", "oldest", "last sent", "tried again", "error"],
        [
            [
                one.name,
                kinds.get(one.name, "(not set here)"),
                one.position,
                one.waiting,
                moment(one.oldest) if one.waiting else None,
                moment(one.sent_at),
                moment(one.next_at) if one.error else None,
                one.error,
            ]
            for one in found
        ],
        right=["position", "waiting"],
    )


def send(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Send now what waits, as every process that works does by itself. Exits with 1 when something is left."""
    from penstock.wiring import publications_on

    session = open_session(ctx, app)
    publishing = session.settings.events
    if publishing is None:
        raise WrongUse("Events go nowhere: penstock.yaml has no block events: with sinks:.")

    async def work(ledger: PostgresLedger) -> tuple[int, Sequence[Reader]]:
        sent = await publications_on(session.app.name, ledger, publishing).send(now=True)
        return sent, await ledger.readers(session.app.name)

    sent, readers = _ask(session, work)
    late = [one for one in readers if one.name in publishing.sinks and one.waiting]
    waiting = sum(one.waiting for one in late)
    if as_json:
        printing.document({"sent": sent, "waiting": waiting})
    elif late:
        whom = ", ".join(one.name for one in late)
        printing.line(f"{counted(sent, 'event')} sent, {waiting:,} wait for {whom}: penstock events sinks says why.")
    else:
        printing.line(f"{counted(sent, 'event')} sent, nothing waits.")
    if late:
        raise typer.Exit(FAILED)


def drop(
    ctx: typer.Context,
    sink: Annotated[str, typer.Argument(metavar="SINK", help="Its name.")],
    *,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget a sink and what waits for it. One that is still set begins anew with what happens from then on."""
    from penstock.model.errors import NotFound

    session = open_session(ctx, app)

    async def work(ledger: PostgresLedger) -> int | None:
        return await ledger.drop_reader(session.app.name, sink)

    dropped = _ask(session, work)
    if dropped is None:
        raise NotFound(f"Nobody called {sink} reads events; penstock events sinks shows who does.")
    if as_json:
        printing.document({"sink": sink, "dropped": dropped})
        return
    printing.line(f"{counted(dropped, 'event')} for {sink} forgotten.")


def state_of(session: Session) -> Sequence[Reader]:
    """How it stands with each reader, the sinks that are set first and in their order."""
    from penstock.ports.events import Reader

    async def work(ledger: PostgresLedger) -> Sequence[Reader]:
        return await ledger.readers(session.app.name)

    found = {one.name: one for one in _ask(session, work)}
    names = [] if session.settings.events is None else list(session.settings.events.sinks)
    here = [found.pop(name, Reader(name=name, position=0, waiting=0)) for name in names]
    return [*here, *found.values()]


def _ask(session: Session, work: Callable[[PostgresLedger], Coroutine[Any, Any, T]]) -> T:
    import asyncio

    from penstock.wiring import open_ledger

    async def inside() -> T:
        async with open_ledger(session.settings, session.app.database) as ledger:
            return await work(ledger)

    return asyncio.run(inside())


def _types(words: Sequence[str] | None) -> list[str]:
    from penstock.cli.words import one_of
    from penstock.model.cloud_events import PUBLISHED

    return [word for word in words or () if one_of(word, PUBLISHED, "--type")]


def _run(word: str | None) -> UUID | int | None:
    from penstock.cli.words import identity

    return None if word is None else identity(word, "run")


def _number(ledger: PostgresLedger, run: UUID | int) -> Any:
    return run if isinstance(run, int) else ledger.run_id(run)


def _kinds(session: Session) -> dict[str, str]:
    own = {"@on": "functions of the app", "@notify": "notices"}
    publishing = session.settings.events
    return own if publishing is None else own | {name: sink.kind for name, sink in publishing.sinks.items()}


def _document(session: Session, event: LoggedEvent) -> dict[str, Any]:
    from penstock.operations.publishing import cloud_event

    return cloud_event(session.app.name, event).document()


def _line(session: Session, event: LoggedEvent, *, as_json: bool) -> str:
    if as_json:
        import json

        return json.dumps(_document(session, event))
    words = [moment(event.at), event.type, f"run {event.run_id}", event.pipeline, event.step, _said(event)]
    return "  ".join(printing.joined(word) for word in words if word)


def _said(event: LoggedEvent) -> str | None:
    """What is worth a look beside the type."""
    data = event.data or {}
    match event.type:
        case "execution.failed":
            return str(data.get("error") or data.get("state") or "")
        case "layer.completed":
            return " ".join(f"{name} {count:,}" for name, count in dict(data.get("counts") or {}).items())
        case "quality.issue_detected":
            return ", ".join(f"{issue['type']} {issue['count']:,}" for issue in data.get("issues") or ())
        case _:
            return None
