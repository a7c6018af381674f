"""`why`, `runs`, `units` and `logs`: what the ledger knows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from penstock.cli import printing
from penstock.cli.options import AppOption, JsonOption, PipelineWord, RunWord, group
from penstock.cli.session import Session, open_session
from penstock.cli.spoken import length, moment, unit_words

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.model.results import Run, Why
    from penstock.operations.client import Client

SHOWN_UNITS = 20
POLL = 1.0
_NOT_TOLD = ("key", "app", "pipeline", "number", "rev")


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    cli.command("why")(why)
    runs = group("List runs, or show one.")
    runs.command("list")(list_runs)
    runs.command("show")(show_run)
    cli.add_typer(runs, name="runs")
    units = group("List what is remembered of units.")
    units.command("list")(list_units)
    cli.add_typer(units, name="units")
    cli.command("logs")(logs)


def why(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    fields: Annotated[list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="The fields of the key.")] = None,
    *,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a unit was run or not."""
    from penstock.cli.words import key_values, pick, split

    session = open_session(ctx, app)
    name, words = split(pipeline, fields)
    chosen = pick(session.found, name)
    key = key_values(chosen, words)

    async def work(client: Client) -> Why:
        return await client.why(chosen, key)

    found = session.ask(work)
    if as_json:
        printing.document({"sentence": found.sentence, "row": dict(found.row)})
        return
    printing.line(printing.joined(found.sentence))
    row = {name: _shown(value) for name, value in found.row.items() if name not in _NOT_TOLD}
    printing.line()
    printing.pairs(row, indent="  ")


def list_runs(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    *,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="Such as failed or running.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help="2h, 7d, a date or a time.")] = None,
    unit: Annotated[
        list[str] | None, typer.Option("--unit", metavar="FIELD=VALUE", help="Runs of one unit; one per key field.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N runs.")] = 20,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from penstock.cli.documents import run_document
    from penstock.cli.words import one_of, pick
    from penstock.cli.words import since as point
    from penstock.model.states import RUN_STATES

    session = open_session(ctx, app)
    wanted = one_of(state, RUN_STATES, "--state")
    after = point(since)
    everything = pipeline is None and not unit
    chosen = list(session.app.pipelines.values()) if everything else [pick(session.found, pipeline)]
    one = _unit_of(chosen[0], unit)

    async def work(client: Client) -> list[Run[Any]]:
        pages = [
            await client.runs(p, state=wanted, since=after, unit=one, limit=limit)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            for p in chosen
        ]
        return sorted((run for page in pages for run in page), key=lambda run: -run.number)[:limit]

    found = session.ask(work)
    if as_json:
        printing.document([run_document(session.app.pipeline(run.pipeline), run) for run in found])
        return
    if not found:
        printing.line("No such runs." if wanted or after or one else "No runs yet: penstock run makes some.")
    else:
        _tell_runs(session, found, several=len(session.app.pipelines) > 1)


def _unit_of(pipeline: Any, words: list[str] | None) -> Any:
    """What stands for a unit where only its key matters."""
    if not words:
        return None
    from types import SimpleNamespace

    from penstock.cli.words import key_values

    return SimpleNamespace(**key_values(pipeline, words))


def _tell_runs(session: Session, runs: list[Run[Any]], *, several: bool) -> None:
    printing.table(
        ["run", "pipeline", "unit", "state", "started", "took", "error"],
        [
            [
                run.number,
                run.pipeline if several else None,
                _units(session, run),
                run.state,
                moment(run.started_at or run.not_before),
                _took(run),
                run.error,
            ]
            for run in runs
        ],
        right=["run", "took"],
    )


def show_run(ctx: typer.Context, run: RunWord, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Show one run: its units, its steps and their attempts, its error."""
    from penstock.cli.documents import run_document
    from penstock.cli.words import identity

    session = open_session(ctx, app)
    number = identity(run, "run")
    found = session.ask(lambda client: _run(client, session, number))
    pipeline = session.app.pipeline(found.pipeline)
    if as_json:
        printing.document(run_document(pipeline, found))
        return
    printing.line(f"Run {found.number} of {found.pipeline}: {printing.state(found.state)}")
    printing.pairs(
        {
            "id": found.id,
            "started": moment(found.started_at),
            "ended": moment(found.completed_at),
            "took": _took(found),
            "not before": moment(found.not_before) if found.completed_at is None else None,
            "error": f"{found.error} ({found.error_class})" if found.error else None,
        },
        indent="  ",
    )
    bodies = [pipeline.units.dump(unit) for unit in found.units]
    for place, body in enumerate(bodies[:SHOWN_UNITS]):
        label = ("units" if len(bodies) > 1 else "unit") if place == 0 else ""
        printing.line(f"  {printing.dim(label.ljust(7))}  {unit_words(body)}")
    if len(bodies) > SHOWN_UNITS:
        printing.line(f"           … and {len(bodies) - SHOWN_UNITS:,} more")
    if found.steps:
        printing.line()
        printing.table(
            ["step", "state", "attempts", "took", "output", "error"],
            [
                [
                    s.step,
                    s.state or "-",
                    s.attempts or None,
                    _length(s.seconds) if s.attempts else None,
                    _output(s.output),
                    s.error,
                ]
                for s in found.steps
            ],
            right=["attempts", "took"],
        )
    if found.state in ("failed", "partial", "cancelled"):
        printing.line(printing.dim(f"\npenstock logs {found.number}, penstock retry {found.number}"))


def list_units(
    ctx: typer.Context,
    pipeline: PipelineWord = None,
    *,
    verdict: Annotated[
        str | None, typer.Option("--verdict", metavar="VERDICT", help="Such as failed or no_data.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most N units.")] = 50,
    after: Annotated[int | None, typer.Option("--after", metavar="NUMBER", help="Go on after this number.")] = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what is remembered of a pipeline's units."""
    from typing import get_args

    from penstock.cli.words import one_of, pick
    from penstock.model.states import Verdict

    session = open_session(ctx, app)
    chosen = pick(session.found, pipeline)
    wanted = one_of(verdict, get_args(Verdict), "--verdict")

    async def work(client: Client) -> list[Mapping[str, Any]]:
        return list(await client.units(chosen, verdict=wanted, after=after, limit=limit))

    found = session.ask(work)
    if as_json:
        printing.document([dict(row) for row in found])
        return
    if not found:
        printing.line(f"No such units of {chosen.name} in the ledger.")
        return
    printing.table(
        [*chosen.key, "verdict", "failures", "repeats", "tried again", "changed"],
        [
            [
                *(row["key"].get(name) for name in chosen.key),
                "in flight" if row["active_run"] else row["verdict"],
                row["failures"] or None,
                row["repeats"] if row["repeats"] > 1 else None,
                moment(row["not_before"]),
                moment(row["changed_at"]),
            ]
            for row in found
        ],
        right=["failures", "repeats"],
    )
    if len(found) == limit:
        printing.line(printing.dim(f"… the next ones: --after {found[-1]['number']}"))


def logs(
    ctx: typer.Context,
    run: RunWord,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the steps of a run said."""
    from penstock.cli.faults import WrongUse
    from penstock.cli.words import identity

    if follow and as_json:
        raise WrongUse("--follow and --json do not go together: a document has an end.")
    session = open_session(ctx, app)
    number = identity(run, "run")

    async def work(client: Client) -> tuple[Run[Any], list[Mapping[str, Any]]]:
        return await _run(client, session, number), await _all_logs(client, number, 0)

    found, rows = session.ask(work)
    if as_json:
        printing.document([{name: value for name, value in row.items() if name != "run"} for row in rows])
        return
    for row in rows:
        _tell_log(row)
    if follow and found.completed_at is None:
        last = rows[-1]["number"] if rows else 0
        out = sys.stdout
        found = session.ask(lambda client: _follow(client, number, last, out))
    elif not rows:
        printing.line(f"Run {found.number} of {found.pipeline} is {found.state} and said nothing.")
    if found.error:
        printing.line(
            f"{printing.state(found.state)}  {found.failed_step or 'run'}: {printing.joined(found.error)}"
            f" ({found.error_class})"
        )


async def _run(client: Client, session: Session, number: UUID | int) -> Run[Any]:
    """The run; of an unknown number the message names the newest."""
    from penstock.model.errors import NotFound

    try:
        return await client.show_run(number)
    except NotFound as error:
        newest = [run.number for p in session.app.pipelines.values() for run in await client.runs(p, limit=1)]
        if not newest:
            raise NotFound(f"There is no run {number}, nor any other yet: penstock run makes some.") from None
        raise NotFound(f"{error} The newest is run {max(newest)}.") from None


async def _all_logs(client: Client, run: UUID | int, after: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    while page := await client.logs(run, after=after):
        found += page
        after = page[-1]["number"]
    return found


async def _follow(client: Client, run: UUID | int, after: int, out: TextIO) -> Run[Any]:
    """Tell what is said until the run is over; `out` is stdout itself, which user's code does not reach meanwhile."""
    import asyncio

    while True:
        found = await client.show_run(run)
        for row in await _all_logs(client, run, after):
            after = row["number"]
            _tell_log(row, out)
        if found.completed_at is not None:
            return found
        await asyncio.sleep(POLL)


def _tell_log(row: Mapping[str, Any], to: TextIO | None = None) -> None:
    values: dict[str, Any] = row["fields"] or {}
    fields = " ".join(f"{name}={printing.indented(value)}" for name, value in values.items())
    step = f"{row['step']}#{row['attempt']}" if row["step"] else "run"
    level = str(row["level"]).upper()
    at = row["at"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    text = f"{printing.dim(at)}  {printing.state(level):7}  {step}  {printing.indented(row['message'])}"
    text = f"{text}  {printing.dim(fields)}" if fields else text
    printing.line(text, to)
    if to is not None:
        to.flush()


def _units(session: Session, run: Run[Any]) -> str:
    pipeline = session.app.pipeline(run.pipeline)
    if not run.units:
        return ""
    more = f" +{len(run.units) - 1}" if len(run.units) > 1 else ""
    return unit_words(pipeline.units.dump(run.unit), pipeline.key) + more


def _took(run: Run[Any]) -> str | None:
    if run.started_at is None or run.completed_at is None:
        return None
    return length((run.completed_at - run.started_at).total_seconds())


def _length(seconds: float | None) -> str | None:
    return None if seconds is None else length(seconds)


def _output(value: object) -> str | None:
    if value is None:
        return None
    from textwrap import shorten

    return shorten(str(value), 60, placeholder=" …")


def _shown(value: object) -> object:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return unit_words(value) if isinstance(value, Mapping) else value  # pyright: ignore[reportUnknownArgumentType]
