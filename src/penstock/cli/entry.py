"""The command `penstock`: its groups, its options before the command, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from penstock.cli import (
    backfilling,
    configuring,
    databases,
    demonstrating,
    eventing,
    examining,
    notifying,
    overriding,
    planning,
    quotas,
    reading,
    running,
    scheduling,
    serving,
    starting,
    steering,
    tokens,
    top,
    working,
)
from penstock.cli.faults import report
from penstock.cli.options import AppOption, Choices, group

INTERRUPTED = 130
BROKEN_PIPE = 141

cli = group("Find the gap in your data, plan it, fill it, and see what was done.")


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"penstock {version('penstock')}\n")
        raise typer.Exit


@cli.callback()
def root(
    ctx: typer.Context,
    *,
    app: AppOption = None,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show all of an error, also by PENSTOCK_TRACEBACK=1.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Find the gap in your data, plan it, fill it, and see what was done."""
    choices = ctx.find_object(Choices)
    if choices is not None:
        choices.app, choices.traceback = app, choices.traceback or traceback


for module in (
    starting,
    demonstrating,
    planning,
    running,
    backfilling,
    scheduling,
    working,
    reading,
    steering,
    quotas,
    serving,
    tokens,
    overriding,
    notifying,
    eventing,
    databases,
    configuring,
    examining,
    top,
):
    module.register(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What was typed after `penstock`; the process's own by default.

    Returns:
        The exit status: 0 ok, 1 something failed, 2 used wrongly.
    """
    choices = Choices(traceback=os.environ.get("PENSTOCK_TRACEBACK", "") not in ("", "0"))
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(given, choices)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - nobody is shown a traceback who did not ask for one
        return report(error, traceback=choices.traceback)
    return status


def _run(arguments: list[str], choices: Choices) -> int:
    try:
        cli(arguments, prog_name="penstock", obj=choices)
    except SystemExit as end:
        if isinstance(end.code, int):
            return end.code
        return 0 if end.code is None else 1
    return 0
