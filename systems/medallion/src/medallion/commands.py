"""`python -m medallion …`: organizations, feeds, campaigns, credentials, onboarding and backfills."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import penstock as ps
from medallion.console import columns, run, say
from medallion.documents import campaigns_in, organization_in, secret_in, settings_here
from medallion.feeds import every_feed, feed_named, set_campaigns
from medallion.pipelines import app, backfill, onboarding
from medallion.preparing import prepare
from medallion.queries import queries
from medallion.vault import Vault, keep, new_key, rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def main(arguments: Sequence[str] | None = None) -> int:
    """The commands; returns the exit code."""
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = options.work
    return run(lambda: asyncio.run(work(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medallion", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, work: Any, about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(work=work)
        return made

    command("prepare", _prepare, "Make the tables that are missing.")
    made = command("onboard", _onboard, "Make an organization with its feeds, and its first gold tables.")
    made.add_argument("file", type=Path, help="a YAML or JSON file with name: and feeds:")
    command("organizations", _organizations, "List the organizations.")
    command("feeds", _feeds, "List the feeds with their ids.")
    made = command("campaigns", _campaigns, "Set the budgets of a feed's campaigns.")
    made.add_argument("feed", help="its name or id")
    made.add_argument("file", type=Path, help="a CSV file with campaign_id, name, budget, starts, ends")
    made = command("backfill", _backfill, "Fill a range of days of a feed; what is there is not done again.")
    made.add_argument("feed", help="its name or id")
    made.add_argument("--start", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    made.add_argument("--end", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    made.add_argument("--parallel", type=int, default=2, metavar="N", help="months at once (2)")
    made.add_argument("--force", action="store_true", help="also what is there")
    made = command("rejections", _rejections, "Show what was filtered, and why.")
    made.add_argument("--feed", help="its name")
    made.add_argument("--limit", type=int, default=20, metavar="N", help="rows that are shown (20)")
    command("new-key", _new_key, "Make a key for MEDALLION_CREDENTIALS_KEY.")
    made = command("credentials", _credentials, "Keep the credentials that feeds name, encrypted.")
    made.add_argument("what", choices=("list", "set", "forget", "rotate"))
    made.add_argument("name", nargs="?", help="the credential's name, for set and forget")
    made.add_argument("--file", type=Path, help="for set: a JSON file with the secret; standard input by default")
    return parser


async def _prepare(_options: argparse.Namespace) -> int:
    async with app.client() as client:
        await prepare(client)
    say("The tables of medallion are there.")
    return 0


async def _onboard(options: argparse.Namespace) -> int:
    unit = organization_in(options.file)
    async with app.client() as client:
        await prepare(client)
        done = await client.run(onboarding, units=[unit])
    for failed in done.failed:
        say(f"{unit.name} was not onboarded, and what had been made was taken back: {failed.error}")
    if done.ok:
        say(f"{unit.name} has its first gold tables." if done.counts else f"{unit.name} is there already.")
    return 0 if done.ok else 1


async def _organizations(_options: argparse.Namespace) -> int:
    columns(await _rows("feeds.sql", "every_org"), ("id", "organization", "feeds"))
    return 0


async def _feeds(_options: argparse.Namespace) -> int:
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            feeds = await every_feed(conn)
    rows: list[tuple[object, ...]] = []
    for feed in feeds:
        folder, form = feed.config.folder, feed.config.format
        where = f"DV360, advertiser {feed.config.advertiser}" if folder is None else str(folder)
        gone = " (is not there)" if folder is not None and not folder.is_dir() else ""
        rows.append((feed.id, feed.org_id, feed.name, form if isinstance(form, str) else "its own", f"{where}{gone}"))
    columns(rows, ("id", "organization", "feed", "format", "from"))
    return 0


async def _campaigns(options: argparse.Namespace) -> int:
    campaigns = campaigns_in(options.file)
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            feed = await feed_named(conn, options.feed)
            await set_campaigns(conn, feed.id, campaigns)
    say(f"{len(campaigns)} campaigns of {feed.name} have their budgets; the feed's next run computes their pacing.")
    return 0


async def _backfill(options: argparse.Namespace) -> int:
    if options.start > options.end:
        raise ps.InvalidData(f"--start {options.start} is after --end {options.end}.")
    if options.parallel < 1:
        raise ps.InvalidData(f"--parallel {options.parallel}: it is how many months are filled at once, 1 or more.")
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            feed = await feed_named(conn, options.feed)
        plan = await client.plan(
            backfill, where={"feed_id": feed.id}, start=options.start, end=options.end, force=options.force
        )
        days = len(plan)
        if not days and not plan.in_flight:
            say(f"Nothing to do: every day that {feed.name} has from {options.start} to {options.end} is in gold.")
            return 0
        say(f"{days} days of {feed.name}; plan {plan.number}. To pause it: penstock pause --plan {plan.number}.")
        done = await client.apply(plan, lanes=options.parallel, triggered_by="backfill")
    for failed in done.failed:
        say(f"Run {failed.number}: {failed.error}")
    say(f"Runs: {', '.join(f'{count} {state}' for state, count in done.counts.items()) or 'none'}.")
    return 0 if done.ok else 1


async def _rejections(options: argparse.Namespace) -> int:
    binds = {"feed": options.feed, "limit": options.limit}
    rows = await _rows("feeds.sql", "rejections", binds)
    columns(rows, ("feed", "file", "line", "type", "rules", "record"))
    return 0


async def _new_key(_options: argparse.Namespace) -> int:
    say(new_key())
    return 0


async def _credentials(options: argparse.Namespace) -> int:
    if options.what in ("set", "forget") and not options.name:
        raise ps.InvalidData(f"credentials {options.what} needs the credential's name.")
    if options.what == "list":
        rows = await _rows("credentials.sql", "listed")
        columns(rows, ("credential", "organization", "since"))
        return 0
    secret: dict[str, Any] = {}
    if options.what == "set":
        secret = secret_in(sys.stdin.buffer.read() if options.file is None else options.file.read_bytes())
    async with app.client() as client:
        await prepare(client)
        vault = Vault(settings_here())
        async with client.connection() as conn:
            if options.what == "set":
                await keep(conn, vault, options.name, secret)
                say(f"{options.name} is kept.")
            elif options.what == "rotate":
                say(f"{await rotate(conn, vault)} credentials are encrypted with the first key.")
            else:
                cursor = await conn.execute(queries("credentials.sql")["forget"].encode(), {"name": options.name})
                if not cursor.rowcount:
                    raise ps.InvalidData(f"There is no credential {options.name!r}.")
                say(f"{options.name} is forgotten.")
    return 0


async def _rows(file: str, name: str, binds: dict[str, Any] | None = None) -> list[tuple[object, ...]]:
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            cursor = await conn.execute(queries(file)[name].encode(), binds or {})
            return [tuple(row) for row in await cursor.fetchall()]
