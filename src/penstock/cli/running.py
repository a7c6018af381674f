"""`run`, `apply` and `retry`: carry out a plan and say what it came to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED, say
from penstock.cli.options import (
    AppOption,
    EndOption,
    FieldWords,
    ForceOption,
    JsonOption,
    LanesOption,
    ParamOption,
    PipelineWord,
    PlanWord,
    RunWord,
    StartOption,
)
from penstock.cli.planning import make_plan, parse_ask, show_plan
from penstock.cli.session import Session, open_session

if TYPE_CHECKING:
    from penstock.model.results import Plan, Summary
    from penstock.operations.client import Client


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("run")(run)
    cli.command("apply")(apply)
    cli.command("retry")(retry)


def run(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    fields: FieldWords = None,
    *,
    start: StartOption = None,
    end: EndOption = None,
    force: ForceOption = False,
    lanes: LanesOption = None,
    param: ParamOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only, as `penstock plan` does.")] = False,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Plan and carry out in one."""
    session = open_session(ctx, app, lanes=lanes)
    chosen, asked = parse_ask(session, pipeline, fields, start=start, end=end, force=force, param=param)
    if dry_run:
        found, gaps = make_plan(session, chosen, asked, 10)
        show_plan(chosen, found, gaps, as_json=as_json)
        return

    async def work(client: Client) -> tuple[Plan[Any], Summary[Any], bool]:
        found = await client.plan(chosen, **asked)
        return await carry_out(session, client, found)

    finish(session, session.ask(work), as_json=as_json)


def apply(
    ctx: typer.Context,
    plan: PlanWord,
    *,
    lanes: LanesOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carry out exactly this plan, or go on with it."""
    from penstock.cli.words import identity
    from penstock.model.errors import NotFound

    session = open_session(ctx, app, lanes=lanes)
    number = identity(plan, "plan")

    async def work(client: Client) -> tuple[Plan[Any], Summary[Any], bool]:
        try:
            found = await client.show_plan(number)
        except NotFound as error:
            raise NotFound(f"{error} A plan is made by: penstock plan.") from None
        return await carry_out(session, client, found)

    finish(session, session.ask(work), as_json=as_json)


def retry(
    ctx: typer.Context,
    run: RunWord,
    *,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Carry the new run out, or leave it to whoever works.")
    ] = True,
    lanes: LanesOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try again what did not complete in a run. A new run is made; steps that completed are not done again."""
    from penstock.cli.words import identity

    session = open_session(ctx, app, lanes=lanes)
    number = identity(run, "run")

    async def work(client: Client) -> tuple[Plan[Any], Summary[Any] | None, bool]:
        found = await client.retry(number)
        return await carry_out(session, client, found) if wait else (found, None, False)

    found, summary, stopped = session.ask(work)
    if summary is not None:
        finish(session, (found, summary, stopped), as_json=as_json)
    elif as_json:
        printing.document({"plan": found.number, "plan_id": found.id, "pipeline": found.pipeline, "state": found.state})
    else:
        printing.line(
            f"Run {number} is tried again as plan {found.number}; whoever works takes it up, "
            f"or now: penstock apply {found.number}"
        )


async def carry_out(session: Session, client: Client, plan: Plan[Any]) -> tuple[Plan[Any], Summary[Any], bool]:
    """Apply the plan while progress is shown; the first signal stops it in good order.

    Returns:
        The plan, what it came to, and whether a signal stopped it.
    """
    import asyncio

    from penstock.cli.progress import watcher
    from penstock.cli.telling import plan_line
    from penstock.engines.local.signals import Stopper

    pipeline = session.app.pipeline(plan.pipeline)
    if plan.admitted:
        say(f"{plan.pipeline}, plan {plan.number}: {plan_line(plan)}.")
    grace = session.settings.grace
    stopper = Stopper(asyncio.get_running_loop(), lambda: client.stop(grace), (signal.SIGTERM, signal.SIGINT))
    with stopper, watcher(pipeline, plan.admitted) as watching:
        summary = await client.apply(plan.number, on_event=watching)
    return plan, summary, stopper.stopped


def finish(session: Session, done: tuple[Plan[Any], Summary[Any], bool], *, as_json: bool) -> None:
    """Print the summary; exit 1 if something failed or was stopped before its end."""
    from penstock.cli.documents import summary_document
    from penstock.cli.telling import tell_summary

    plan, summary, stopped = done
    pipeline = session.app.pipeline(plan.pipeline)
    if as_json:
        printing.document(summary_document(pipeline, plan, summary))
    else:
        tell_summary(pipeline, plan, summary, stopped=stopped)
    if not summary.ok or (stopped and summary.deferred):
        raise typer.Exit(FAILED)
