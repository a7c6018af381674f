"""`token`: who may ask a service."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from penstock.cli import printing
from penstock.cli.options import AppOption, JsonOption, group
from penstock.cli.session import Session, open_session
from penstock.cli.spoken import moment

if TYPE_CHECKING:
    from penstock.model.token import ApiToken
    from penstock.operations.tokens import Tokens

T = TypeVar("T")
NameWord = Annotated[str, typer.Argument(metavar="NAME", help="What it is told by, such as grafana.")]


def register(cli: typer.Typer) -> None:
    """Add the commands."""
    commands = group("Give out, list and take back tokens of the service.")
    commands.command("create")(create)
    commands.command("list")(list_tokens)
    commands.command("revoke")(revoke)
    cli.add_typer(commands, name="token")


def create(
    ctx: typer.Context,
    name: NameWord,
    *,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="viewer reads, operator also works, admin does all.")
    ] = "viewer",
    org: Annotated[
        str | None, typer.Option("--org", metavar="ORG", help="The only organization that it sees; else all.")
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", metavar="N", help="How long it is in force; else until it is revoked.")
    ] = None,
    app: AppOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give out a token. It is printed this once: the ledger keeps its hash."""
    import getpass

    from penstock.cli.words import one_of
    from penstock.model.token import ROLES, Role

    chosen: Role = one_of(role, ROLES, "--role")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    session = open_session(ctx, app)
    try:
        user: str | None = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = None
    made = ask(session, lambda tokens: tokens.create(name, chosen, org=org, days=days, by=user))
    if as_json:
        printing.document({**_document(made.token), "token": made.secret})
    else:
        printing.line(made.secret)


def list_tokens(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """List tokens in force, and those whose time is over. The tokens themselves are nowhere."""
    session = open_session(ctx, app)
    found = ask(session, lambda tokens: tokens.list())
    if as_json:
        printing.document([_document(token) for token in found])
    elif not found:
        printing.line("There are no tokens; penstock token create makes one.")
    else:
        printing.table(
            ["name", "role", "organization", "made", "by", "until", "used"],
            [
                [
                    token.name,
                    token.role,
                    token.org or "(all)",
                    moment(token.created_at),
                    token.created_by,
                    None if token.expires_at is None else moment(token.expires_at),
                    "never" if token.last_used_at is None else moment(token.last_used_at),
                ]
                for token in found
            ],
        )


def revoke(ctx: typer.Context, name: NameWord, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Take a token back; the next request with it is refused."""
    session = open_session(ctx, app)
    token = ask(session, lambda tokens: tokens.revoke(name))
    if as_json:
        printing.document(_document(token))
    else:
        printing.line(f"{token.name} is revoked.")


def ask(session: Session, work: Callable[[Tokens], Coroutine[Any, Any, T]]) -> T:
    """Run one piece of work with the app's tokens."""
    import asyncio
    from contextlib import redirect_stdout

    from penstock.wiring import open_tokens

    async def inside() -> T:
        async with open_tokens(session.app.name, session.settings, session.app.database) as tokens:
            return await work(tokens)

    with redirect_stdout(sys.stderr):
        return asyncio.run(inside())


def _document(token: ApiToken) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "org": token.org,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
    }
