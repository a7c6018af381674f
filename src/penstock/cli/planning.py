"""`plan` and `discard`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import printing
from penstock.cli.options import (
    AppOption,
    EndOption,
    FieldWords,
    ForceOption,
    JsonOption,
    ParamOption,
    PipelineWord,
    PlanWord,
    StartOption,
)
from penstock.cli.session import Session, open_session

if TYPE_CHECKING:
    from penstock.definition.pipeline import Pipeline
    from penstock.model.results import Gap, Plan
    from penstock.operations.client import Client

GAPS_FOUND = 2


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("plan")(plan)


def plan(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    fields: FieldWords = None,
    *,
    start: StartOption = None,
    end: EndOption = None,
    force: ForceOption = False,
    param: ParamOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Show the first N gaps.")] = 10,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are gaps, 0 when there are none.")
    ] = False,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would run, what would not, and why. Nothing runs."""
    session = open_session(ctx, app)
    chosen, asked = parse_ask(session, pipeline, fields, start=start, end=end, force=force, param=param)
    found, gaps = make_plan(session, chosen, asked, limit)
    show_plan(chosen, found, gaps, as_json=as_json)
    if detailed_exitcode and len(found):
        raise typer.Exit(GAPS_FOUND)


def parse_ask(
    session: Session,
    pipeline: str | None,
    fields: Sequence[str] | None,
    *,
    start: str | None,
    end: str | None,
    force: bool,
    param: Sequence[str] | None,
) -> tuple[Pipeline[Any], dict[str, Any]]:
    """The pipeline and the arguments of `Client.plan`.

    Raises:
        WrongUse: Something typed does not fit.
    """
    from penstock.cli.words import day, named, pick, split, values

    name, words = split(pipeline, fields)
    chosen = pick(session.found, name)
    return chosen, {
        "where": values(chosen, words) or None,
        "start": day(start, "--start"),
        "end": day(end, "--end"),
        "force": force,
        "params": named(param) or None,
    }


def make_plan(
    session: Session, pipeline: Pipeline[Any], asked: dict[str, Any], limit: int
) -> tuple[Plan[Any], list[Gap[Any]]]:
    """A new plan, and the first of its gaps."""

    async def work(client: Client) -> tuple[Plan[Any], list[Gap[Any]]]:
        found = await client.plan(pipeline, **asked)
        gaps, _ = await client.gap_page(found, 0, limit) if limit else ([], 0)
        return found, gaps

    return session.ask(work)


def show_plan(pipeline: Pipeline[Any], plan: Plan[Any], gaps: Sequence[Gap[Any]], *, as_json: bool) -> None:
    """Print it."""
    from penstock.cli.documents import plan_document
    from penstock.cli.telling import tell_plan

    if as_json:
        printing.document(plan_document(pipeline, plan, gaps))
    else:
        tell_plan(pipeline, plan, gaps)


def register_discard(cli: typer.Typer) -> None:
    """Add `discard`, which comes last among the commands that steer."""
    cli.command("discard")(discard)


def discard(ctx: typer.Context, plan: PlanWord, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Put an open plan away: it can no longer be applied."""
    from penstock.cli.words import identity

    session = open_session(ctx, app)
    number = identity(plan, "plan")
    session.ask(lambda client: client.discard(number))
    if as_json:
        printing.document({"plan": number, "state": "discarded"})
    else:
        printing.line(f"Plan {number} is discarded.")
