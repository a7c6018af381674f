"""`config show`: every setting, and who said so."""

from __future__ import annotations

import typer

from penstock.cli import printing
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import settings_for


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Show the settings that hold here.")
    commands.command("show")(show)
    cli.add_typer(commands, name="config")


def show(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Show each setting with its value and its source; passwords are masked."""
    from penstock.cli.finding import named

    settings = settings_for(ctx, app)
    rows = {name: (value, source) for name, value, source in settings.shown()}
    place = named(settings)
    if place is not None and settings.app is None:  # pyproject.toml is no settings file, but it may name the app
        rows["app"] = (place.target, str(place.folder / place.source))
    if as_json:
        document = {name: {"value": value, "source": source} for name, (value, source) in rows.items()}
        printing.document({"file": settings.file, "settings": document})
        return
    printing.table(["setting", "value", "source"], [[name, *row] for name, row in rows.items()])
