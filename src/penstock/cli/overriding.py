"""`overrides`: figures that an operator sets instead of the code's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import open_session
from penstock.cli.spoken import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.model.override import Override
    from penstock.operations.client import Client

NameWord = Annotated[str, typer.Argument(metavar="NAME", help="Such as retry.attempts or step.fetch.timeout.")]
PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", metavar="NAME", help="For this pipeline only; else for the whole app.")
]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Set retries, timeouts and limits without a deploy.")
    commands.command("list")(list_overrides)
    commands.command("set")(set_override)
    commands.command("unset")(unset_override)
    cli.add_typer(commands, name="overrides")


def list_overrides(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """List what is set. Exits with 1 when something set is wrong."""
    session = open_session(ctx, app)

    async def work(client: Client) -> list[tuple[Override, str | None]]:
        return [(row, client.overrides.fault(row)) for row in await client.overrides.list()]

    found = session.ask(work)
    wrong = [fault for _, fault in found if fault is not None]
    if as_json:
        printing.document([{**_document(row), "fault": fault} for row, fault in found])
    elif not found:
        printing.line("Nothing is set: the code's figures hold.")
    else:
        printing.table(
            ["pipeline", "name", "value", "changed", "by", "note", "fault"],
            [
                [
                    row.pipeline or "(all)",
                    row.name,
                    row.value,
                    None if row.changed_at is None else moment(row.changed_at),
                    row.changed_by,
                    row.note,
                    fault and "wrong: see below",
                ]
                for row, fault in found
            ],
        )
        for fault in wrong:
            printing.line()
            printing.line(fault)
    if wrong:
        raise typer.Exit(FAILED)


def set_override(
    ctx: typer.Context,
    name: NameWord,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Such as 5, 90s, 2h or false.")],
    *,
    pipeline: PipelineOption = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why; kept with it.")] = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a figure.

    That of a quota (quota.NAME.…) holds at once. Any other holds from the next plan on; runs that are planned already
    keep theirs.
    """
    import getpass

    from penstock.cli.words import pick

    session = open_session(ctx, app)
    chosen = None if pipeline is None else pick(session.found, pipeline).name
    try:
        user: str | None = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = None

    async def work(client: Client) -> Override:
        return await client.overrides.set(name, value, pipeline=chosen, note=note, by=user)

    row = session.ask(work)
    if as_json:
        printing.document(_document(row))
        return
    whose = f"pipeline {chosen}" if chosen else f"the whole app {session.app.name}"
    printing.line(f"{row.name} is {row.value} for {whose}, {_since(row.name)}.")


def _since(name: str) -> str:
    return "from now on" if name.startswith("quota.") else "from the next plan on"


def unset_override(
    ctx: typer.Context,
    name: NameWord,
    *,
    pipeline: PipelineOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a figure away: the code's holds again.

    It does so from the next plan on; where the figure is one of a quota (quota.NAME.…), at once.
    """
    session = open_session(ctx, app)

    async def work(client: Client) -> Sequence[Override]:
        await client.overrides.unset(name, pipeline=pipeline)
        return await client.overrides.list()

    left = session.ask(work)
    if as_json:
        printing.document([_document(row) for row in left])
        return
    printing.line(f"{name} is as the code says, {_since(name)}.")


def _document(row: Override) -> dict[str, object]:
    return {
        "pipeline": row.pipeline,
        "name": row.name,
        "value": row.value,
        "note": row.note,
        "changed_at": row.changed_at,
        "changed_by": row.changed_by,
    }
