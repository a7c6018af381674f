"""`schedule list` and `schedule tick`: when pipelines are planned, and what is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import open_session
from penstock.cli.spoken import counted, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.operations.service import Service
    from penstock.ports.service import Schedule


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    schedule = group("Show when pipelines are planned, or plan what is due.")
    schedule.command("list")(list_schedules)
    schedule.command("tick")(tick)
    cli.add_typer(schedule, name="schedule")


def list_schedules(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """List schedules with their next times."""
    session = open_session(ctx, app)

    async def work(service: Service) -> Sequence[Schedule]:
        await service.scheduler.announce()
        return await service.scheduler.schedules()

    found = session.serve(work)
    if as_json:
        printing.document([_document(one) for one in found])
        return
    if not found:
        printing.line('No pipeline has a schedule: Pipeline(schedule="0 6 * * *") gives it one.')
        return
    printing.table(
        ["pipeline", "schedule", "zone", "next", "last", "paused", "error"],
        [
            [
                one.pipeline,
                one.cron,
                one.timezone,
                moment(one.next_at),
                moment(one.last_at),
                "paused" if one.paused else None,
                one.error,
            ]
            for one in found
        ],
    )


def tick(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Plan what is due, and what comes after a plan that is done, once."""
    session = open_session(ctx, app)

    async def work(service: Service) -> tuple[int, Sequence[Schedule]]:
        await service.scheduler.announce()
        return await service.scheduler.fire(), await service.scheduler.schedules()

    fired, found = session.serve(work)
    wrong = [one for one in found if one.error is not None]
    if as_json:
        printing.document({"planned": fired, "schedules": [_document(one) for one in found]})
    else:
        printing.line(f"{counted(fired, 'pipeline')} planned." if fired else "Nothing is due.")
        for one in wrong:
            printing.line(f"{one.pipeline} could not be planned: {one.error}")
    if fired and wrong:
        raise typer.Exit(FAILED)


def _document(one: Schedule) -> dict[str, object]:
    return {
        "pipeline": one.pipeline,
        "schedule": one.cron,
        "timezone": one.timezone,
        "next_at": one.next_at,
        "last_at": one.last_at,
        "last_plan": one.last_plan,
        "error": one.error,
        "paused": one.paused,
    }
