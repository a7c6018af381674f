"""`python -m aegis.priorities`: which banks and periods come before the others."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from aegis.console import CommandError, nearest, run, say
from aegis.institutions import Institution, load_institutions
from aegis.overview import prepare
from aegis.pipelines import app
from aegis.queries import queries
from aegis.settings import load_settings

HIGHEST, LOWEST = 5, -4
"""Penstock's priorities; what has none set has 0."""
_FILE = "priorities.sql"
_QUARTERS = ("Q1", "Q2", "Q3", "Q4")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _parser().parse_args(arguments)
    return run(lambda: asyncio.run(_main(options)))


async def _main(options: argparse.Namespace) -> int:
    institutions = load_institutions(load_settings().institutions)
    place = None if options.command == "list" else _place(options, institutions)
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            if place is None:
                cursor = await conn.execute(queries(_FILE)["priorities"])
                _show(await cursor.fetchall(), institutions)
                return 0
            if options.command == "set":
                await conn.execute(queries(_FILE)["set_priority"], {**place, "priority": options.priority})
                say(f"{_words(place, institutions)}: priority {options.priority}, from the next run on.")
                return 0
            cursor = await conn.execute(queries(_FILE)["unset_priority"], place)
            if await cursor.fetchone() is None:
                raise CommandError(f"No priority is set for {_words(place, institutions)}.")
            say(f"{_words(place, institutions)}: no priority of its own any more.")
    return 0


def _place(options: argparse.Namespace, institutions: Mapping[str, Institution]) -> dict[str, Any]:
    """What the command speaks of, as the table's columns; `CommandError` where it is nothing or nobody."""
    if options.quarter is not None and options.year is None:
        raise CommandError("A quarter needs its year: --year 2025 --quarter Q2.")
    if options.bank is None and options.year is None:
        raise CommandError("Say a bank, a period or both: --bank RY, --year 2025 --quarter Q2.")
    if options.bank is not None and options.bank not in institutions:
        hint = nearest(options.bank, institutions)
        raise CommandError(f"No monitored institution has the symbol {options.bank}; {hint}".rstrip("; ") + ".")
    bank_id = None if options.bank is None else institutions[options.bank].id
    return {"bank_id": bank_id, "fiscal_year": options.year, "quarter": options.quarter}


def _show(rows: Sequence[tuple[Any, ...]], institutions: Mapping[str, Institution]) -> None:
    if not rows:
        say("Nothing comes before anything else: the newest period first, banks side by side.")
        return
    for *place, priority in rows:
        named: dict[str, Any] = dict(zip(("bank_id", "fiscal_year", "quarter"), place, strict=True))
        say(f"{priority:>3}  {_words(named, institutions)}")


def _words(place: Mapping[str, Any], institutions: Mapping[str, Institution]) -> str:
    symbols = {one.id: symbol for symbol, one in institutions.items()}
    bank = place["bank_id"]
    who = "all banks" if bank is None else symbols.get(bank, f"bank {bank} (not monitored)")
    return " ".join(str(word) for word in (who, place["fiscal_year"], place["quarter"]) if word is not None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aegis.priorities",
        description="Which banks and periods come before the others. The narrowest that fits a report holds.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is set, the highest first")
    change = commands.add_parser("set", help="set a priority")
    change.add_argument("priority", type=_priority, help=f"{LOWEST} to {HIGHEST}, the higher first; 0 is usual")
    remove = commands.add_parser("unset", help="take a priority away")
    for command in (change, remove):
        command.add_argument("--bank", metavar="SYMBOL", help="of one bank; of all by default")
        command.add_argument("--year", type=int, help="of one fiscal year")
        command.add_argument("--quarter", choices=_QUARTERS, help="of one quarter of that year")
    return parser


def _priority(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = LOWEST - 1
    if not LOWEST <= number <= HIGHEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {LOWEST} to {HIGHEST}")
    return number


if __name__ == "__main__":
    sys.exit(main())
