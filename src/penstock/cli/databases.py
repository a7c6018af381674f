"""`db upgrade`, `db status` and `db prune`: the ledger's schema and its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.cli import printing, pruning
from penstock.cli.faults import FAILED
from penstock.cli.options import JsonOption, group
from penstock.cli.session import database_of

if TYPE_CHECKING:
    from penstock.ledger.migrate import SchemaStatus


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Upgrade the ledger's schema, look at it, prune it.")
    commands.command("upgrade")(upgrade)
    commands.command("status")(status)
    commands.command("prune")(pruning.prune)
    cli.add_typer(commands, name="db")


def upgrade(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """Bring the schema to the newest revision. Commands that need it do so by themselves."""
    from penstock.ledger import migrate

    where, url = database_of(ctx)
    _tell(where, migrate.upgrade(url), as_json=as_json)


def status(ctx: typer.Context, *, as_json: JsonOption = False) -> None:
    """Show where the schema stands, and change nothing. Exits with 1 when it is not the newest."""
    from penstock.ledger import migrate

    where, url = database_of(ctx)
    found = migrate.status(url)
    _tell(where, found, as_json=as_json)
    if not found.current:
        raise typer.Exit(FAILED)


def _tell(where: str, found: SchemaStatus, *, as_json: bool) -> None:
    if as_json:
        printing.document(
            {
                "database": where,
                "server": found.server,
                "revision": found.revision,
                "newest": found.head,
                "current": found.current,
            }
        )
        return
    if found.current:
        schema = f"revision {found.revision}, the newest"
    elif found.revision is None:
        schema = "none yet: penstock db upgrade makes it"
    else:
        schema = f"revision {found.revision}, the newest is {found.head}: penstock db upgrade"
    printing.pairs({"database": where, "server": f"PostgreSQL {found.server}", "schema": schema})
