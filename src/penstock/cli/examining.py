"""`doctor`: is everything in order, and what to do where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.cli import printing
from penstock.cli.faults import FAILED
from penstock.cli.options import AppOption, Choices, JsonOption

if TYPE_CHECKING:
    from penstock.cli.checks import Check


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("doctor")(doctor)


def doctor(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Check that all is in order, and say what to do. Exits with 1 when there is a problem."""
    from dataclasses import replace

    from penstock.cli.checks import examine
    from penstock.model.redaction import redact

    choices = ctx.find_object(Choices)
    found = [replace(c, says=redact(c.says)) for c in examine(app or (choices.app if choices else None))]
    if as_json:
        printing.document([{"check": c.name, "state": c.state, "says": c.says, "next": c.next_step} for c in found])
    else:
        _tell(found)
    if any(check.state == "problem" for check in found):
        raise typer.Exit(FAILED)


def _tell(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        says = printing.joined(check.says)
        printing.line(f"{printing.state(check.state)}{' ' * (9 - len(check.state))}{check.name.ljust(width)}  {says}")
        if check.next_step:
            printing.line(f"{' ' * (9 + width)}  {printing.dim('→ ' + check.next_step)}")
