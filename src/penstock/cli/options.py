"""Options and arguments that several commands have, and how a group of commands is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer


@dataclass(slots=True)
class Choices:
    """What was said before the command."""

    app: str | None = None
    traceback: bool = False


AppOption = Annotated[
    str | None,
    typer.Option("--app", metavar="APP", help="The app: module:attribute, module, file.py or an installed name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
PipelineWord = Annotated[
    str | None, typer.Argument(metavar="PIPELINE", help="Its name; may be left out where the app has one.")
]
FieldWords = Annotated[
    list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="Only units whose field has this value.")
]
StartOption = Annotated[str | None, typer.Option("--start", metavar="DATE", help="The first day.")]
EndOption = Annotated[str | None, typer.Option("--end", metavar="DATE", help="The last day.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Make again what exists, and ignore what is remembered.")]
LanesOption = Annotated[int | None, typer.Option("--lanes", metavar="N", min=1, help="Runs at once.")]
ParamOption = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the pipeline; repeatable.")
]
RunWord = Annotated[str, typer.Argument(metavar="RUN", help="Its number or UUID.")]
PlanWord = Annotated[str, typer.Argument(metavar="PLAN", help="Its number or UUID.")]


def group(help_text: str) -> typer.Typer:
    """Commands under one word, with plain help that answers at once."""
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=settings,
    )
