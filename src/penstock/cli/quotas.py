"""`quota`: what is drawn, reserved and left, and when there is a new window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.cli import printing
from penstock.cli.options import AppOption, JsonOption
from penstock.cli.session import open_session

if TYPE_CHECKING:
    from penstock.ports.records import QuotaUse


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command("quota")(quota)


def quota(ctx: typer.Context, *, app: AppOption = None, as_json: JsonOption = False) -> None:
    """Show each quota: its limit, what is used, and its window."""
    from penstock.cli.spoken import moment

    session = open_session(ctx, app)
    found = session.ask(lambda client: client.quotas())
    if as_json:
        printing.document([_document(one) for one in found])
        return
    if not found:
        printing.line("No quota was planned with or drawn from yet.")
        return
    printing.table(
        ["quota", "limit", "used", "of it open", "reserved", "free", "kept", "whole again"],
        [
            [
                one.name,
                f"{one.limit:,f} {'at once' if one.per is None else f'a {one.per}'}",
                *("" if one.per == "run" else f"{n:,f}" for n in (one.used, one.open, one.reserved, _free(one))),
                f"{one.reserve:,f}" if one.reserve else None,
                moment(one.ends_at) if one.ends_at else "",
            ]
            for one in found
        ],
        right=["used", "of it open", "reserved", "free", "kept"],
    )


def _free(use: QuotaUse) -> object:
    return max(use.limit - use.used - use.reserved, use.limit * 0)


def _document(use: QuotaUse) -> dict[str, object]:
    return {
        "quota": use.name,
        "limit": use.limit,
        "per": use.per,
        "timezone": use.timezone,
        "reserve": use.reserve,
        "used": use.used,
        "open": use.open,
        "reserved": use.reserved,
        "free": _free(use),
        "starts_at": use.starts_at,
        "ends_at": use.ends_at,
    }
