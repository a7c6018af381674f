"""`cancel`, `pause`, `resume` and `discard`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import planning, printing
from penstock.cli.faults import WrongUse
from penstock.cli.options import AppOption, JsonOption
from penstock.cli.session import open_session
from penstock.cli.spoken import counted

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.operations.client import Client

PlanOrNone = Annotated[str | None, typer.Argument(metavar="PLAN", help="Its number or UUID.")]
PipelineOption = Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="The whole pipeline instead.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("cancel")(cancel)
    cli.command("pause")(pause)
    cli.command("resume")(resume)
    planning.register_discard(cli)


def cancel(
    ctx: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Its number or UUID.")] = None,
    *,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="All live runs of this plan.")] = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a run, or all live runs of a plan."""
    from penstock.cli.words import identity

    if (run is None) == (plan is None):
        raise WrongUse("Say one run, or --plan and one plan: penstock cancel 12, or penstock cancel --plan 3.")
    session = open_session(ctx, app)
    one = None if run is None else identity(run, "run")
    whole = None if plan is None else identity(plan, "plan")
    states = session.ask(lambda client: client.cancel(one, plan=whole))
    if as_json:
        printing.document([{"run": number, "state": state} for number, state in states.items()])
        return
    asked = sum(state not in ("cancelled", "completed", "partial", "failed", "skipped") for state in states.values())
    if not states:
        printing.line("No live runs: nothing to cancel.")
    for number, state in list(states.items())[:20]:
        words = {
            "cancelled": "is cancelled",
            "running": "is asked to stop",
            "waiting": "is asked to stop",
            "scheduled": "is asked to stop",
        }
        printing.line(f"Run {number} {words.get(state, f'is {state} already')}.")
    if len(states) > 20:  # noqa: PLR2004 - more lines than these nobody reads
        printing.line(
            f"… {counted(len(states), 'run')} in all, {asked} of them as soon as their steps are interrupted."
        )


def pause(
    ctx: typer.Context,
    plan: PlanOrNone = None,
    *,
    pipeline: PipelineOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let no further run of a plan or a pipeline start. Those that run go on."""
    _pause(ctx, plan, pipeline, app, as_json=as_json, paused=True)


def resume(
    ctx: typer.Context,
    plan: PlanOrNone = None,
    *,
    pipeline: PipelineOption = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let runs of a paused plan or pipeline start again."""
    _pause(ctx, plan, pipeline, app, as_json=as_json, paused=False)


def _pause(
    ctx: typer.Context, plan: str | None, pipeline: str | None, app: str | None, *, as_json: bool, paused: bool
) -> None:
    from penstock.cli.words import identity, pick

    word = "pause" if paused else "resume"
    if (plan is None) == (pipeline is None):
        raise WrongUse(f"Say a plan or a pipeline: penstock {word} 3, or penstock {word} --pipeline NAME.")
    session = open_session(ctx, app)
    chosen = None if pipeline is None else pick(session.found, pipeline)
    number: UUID | int | None = None if plan is None else identity(plan, "plan")

    async def work(client: Client) -> None:
        await (client.pause if paused else client.resume)(number, pipeline=chosen)

    session.ask(work)
    if as_json:
        printing.document({"plan": number, "pipeline": chosen.name if chosen else None, "paused": paused})
        return
    what = f"Pipeline {chosen.name}" if chosen else f"Plan {number}"
    again = f"--pipeline {chosen.name}" if chosen else str(number)
    next_step = f"is paused: no further run starts until penstock resume {again}." if paused else "goes on."
    printing.line(f"{what} {next_step}")
