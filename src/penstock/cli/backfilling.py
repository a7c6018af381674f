"""`backfill`: a plan over a range of days, carried out here or handed over; and `quality`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import printing
from penstock.cli.faults import WrongUse
from penstock.cli.options import (
    AppOption,
    EndOption,
    FieldWords,
    ForceOption,
    JsonOption,
    ParamOption,
    PipelineWord,
    StartOption,
)
from penstock.cli.planning import parse_ask
from penstock.cli.running import carry_out, finish
from penstock.cli.session import open_session
from penstock.cli.spoken import counted

if TYPE_CHECKING:
    from penstock.model.results import Plan, Summary
    from penstock.operations.backfilling import Backfill
    from penstock.operations.service import Service


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("backfill")(backfill)
    cli.command("quality")(quality)


def backfill(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    fields: FieldWords = None,
    *,
    start: StartOption = None,
    end: EndOption = None,
    lanes: Annotated[
        int | None,
        typer.Option("--lanes", "--parallel", metavar="N", min=1, help="Runs of it at once, whoever carries them."),
    ] = None,
    force: ForceOption = False,
    param: ParamOption = None,
    detach: Annotated[bool, typer.Option("--detach", help="Hand it over to whoever works, and do not wait.")] = False,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a range of days. What is there is not made again."""
    session = open_session(ctx, app, lanes=lanes)
    chosen, asked = parse_ask(session, pipeline, fields, start=start, end=end, force=force, param=param)
    if asked["start"] is None or asked["end"] is None:
        raise WrongUse("Say the range: penstock backfill --start 2024-01-01 --end 2024-03-31.")

    async def work(service: Service) -> tuple[Backfill, tuple[Plan[Any], Summary[Any], bool] | None]:
        begun = await service.backfills.start(chosen, parallel=lanes, **asked)
        if detach:
            return begun, None
        return begun, await carry_out(session, service.client, await service.client.show_plan(begun.number))

    begun, done = session.serve(work)
    if done is not None:
        finish(session, done, as_json=as_json)
    elif as_json:
        printing.document(
            {
                "plan": begun.number,
                "plan_id": begun.id,
                "pipeline": begun.pipeline,
                "state": begun.state,
                "runs": begun.total,
                "parallel": begun.parallel,
            }
        )
    elif not begun.total:
        printing.line(f"{begun.pipeline} has all of these days: nothing to do.")
    else:
        printing.line(
            f"Plan {begun.number} has {counted(begun.total, 'run')}; whoever works takes them up, "
            f"or now: penstock apply {begun.number}"
        )


def quality(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Show what steps found of their records in the last 24 hours."""
    session = open_session(ctx, app)
    found = session.serve(lambda service: service.executions.quality())
    if as_json:
        printing.document(
            {
                "total_records": found.total_records,
                "valid_records": found.valid_records,
                "quality_score": found.quality_score,
                "issues": dict(found.issues),
                "by_pipeline": [
                    {
                        "pipeline_id": one.pipeline_id,
                        "pipeline_name": one.pipeline_name,
                        "quality_score": one.quality_score,
                        "issues": one.issues,
                    }
                    for one in found.by_pipeline
                ],
            }
        )
        return
    if not found.by_pipeline:
        printing.line("No step has measured anything in the last 24 hours.")
        return
    printing.line(
        f"{found.valid_records:,} of {counted(found.total_records, 'record')} are valid: {found.quality_score:.2f} %."
    )
    printing.table(
        ["issue", "records"], [[kind, f"{count:,}"] for kind, count in found.issues.items()], right=["records"]
    )
    printing.line()
    printing.table(
        ["pipeline", "name", "score", "issues"],
        [
            [one.pipeline_id, one.pipeline_name, f"{one.quality_score:.2f}", f"{one.issues:,}"]
            for one in found.by_pipeline
        ],
        right=["score", "issues"],
    )
