"""From a DSP or a drop folder to `bronze.landings`: fetched once, kept as received, known by its hash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from pydantic import BaseModel

import penstock as ps
from medallion.drops import fingerprint_of
from medallion.dsp import API, TOKENS, Dsp
from medallion.feeds import Feed, feed_by_id
from medallion.queries import queries
from medallion.settings import Settings
from medallion.vault import Vault, credential
from penstock import data

_FILE = "layers.sql"


class FeedDay(NamedTuple):
    """A day of a feed that should be there: a DSP's report, or one file of a drop folder (`part`)."""

    feed_id: UUID
    day: date
    part: str
    org_id: int
    name: str
    source: str
    path: str | None = None
    fingerprint: str | None = None


class Wanted(Protocol):
    """What is fetched: a day of a feed, whatever the unit is."""

    @property
    def feed_id(self) -> UUID: ...
    @property
    def day(self) -> date: ...
    @property
    def part(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def path(self) -> str | None: ...
    @property
    def fingerprint(self) -> str | None: ...


class Fetched(BaseModel):
    """A report that was fetched: the file, or the landing that was there already."""

    file: data.Landed | None = None
    landing_id: int | None = None


async def landed_already(ctx: ps.Context[Any], wanted: Wanted) -> int | None:
    """The landing of this day and part that need not be fetched again."""
    async with ctx.connection() as conn:
        cursor = await conn.execute(queries(_FILE)["usable_landing"].encode(), _key(wanted))
        row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def open_dsp(settings: Settings) -> AsyncIterator[Dsp]:
    """The client of the DSP, shared by all steps."""
    api, tokens = settings.dsp_url or API, settings.dsp_token_url or TOKENS
    async with Dsp(api, token_url=tokens, first=settings.dsp_poll_seconds) as dsp:
        yield dsp


async def secret_of(ctx: ps.Context[Any], vault: Vault, feed: Feed) -> dict[str, Any]:
    """The credential that a feed's DSP is asked with.

    Raises:
        AuthFailed: There is none, or it cannot be decrypted.
    """
    async with ctx.connection() as conn:
        return await credential(conn, vault, feed.config.credential or "", feed.org_id)


async def fetch_report(ctx: ps.Context[Any], wanted: Wanted, dsp: Dsp, vault: Vault, settings: Settings) -> Fetched:
    """Fetch it and keep it as it was received.

    Raises:
        NoData: The dropped file is gone, or was written to since it was seen; the next look finds it again.
    """
    ctx.log.info("Fetching %s", wanted.name, day=wanted.day.isoformat(), file=wanted.part or None)
    if wanted.source == "drop":
        path = Path(str(wanted.path))
        await asyncio.to_thread(_check_unchanged, ctx, path, wanted.fingerprint, settings)
        file = await data.land(path, name=path.name, origin=str(path), folder=settings.landing_dir)
        await asyncio.to_thread(_check_unchanged, ctx, path, wanted.fingerprint, settings)
    else:
        async with ctx.connection() as conn:
            feed = await feed_by_id(conn, wanted.feed_id)
        advertiser = feed.config.advertiser or ""
        report = dsp.report(credentials=await secret_of(ctx, vault, feed), advertiser=advertiser, day=wanted.day)
        origin = f"DV360, advertiser {advertiser}"
        file = await data.land(report, name=f"{wanted.day.isoformat()}.csv", origin=origin, folder=settings.landing_dir)
    return Fetched(file=file)


async def register_report(ctx: ps.Context[Any], db: ps.Transaction, wanted: Wanted, fetched: Fetched) -> int:
    """The landing's number: a new one, or that of the same content, which is received once more.

    What somebody asked for by force is made again in the layers after this one too.
    """
    if fetched.file is None:
        if fetched.landing_id is None:
            raise ps.InvalidData("Nothing was fetched.")
        return fetched.landing_id
    file = fetched.file
    cursor = await db.execute(
        queries(_FILE)["land"],
        {
            **_key(wanted),
            "name": file.name,
            "origin": file.origin,
            "path": str(file.path),
            "sha256": file.sha256,
            "bytes": file.bytes,
            "forced": int(ctx.forced),
        },
    )
    row = await cursor.fetchone()
    if row is None:
        raise ps.InvalidData(f"The feed {wanted.name} was taken away since this was planned.")
    return int(row[0])


async def forget_files(files: Iterable[Path], settings: Settings) -> None:
    """Remove files of the landing folder that nobody needs any longer."""
    root = settings.landing_dir.absolute()

    def remove() -> None:
        for path in files:
            if root in path.parents:
                path.unlink(missing_ok=True)

    await asyncio.to_thread(remove)


def _key(wanted: Wanted) -> dict[str, object]:
    return {"feed_id": wanted.feed_id, "day": wanted.day, "part": wanted.part, "fingerprint": wanted.fingerprint}


def _check_unchanged(ctx: ps.Context[Any], path: Path, fingerprint: str | None, settings: Settings) -> None:
    again = ctx.now() + timedelta(seconds=settings.settle_seconds)
    try:
        now = fingerprint_of(path)
    except FileNotFoundError:
        raise ps.NoData(f"{path} is gone since it was seen.", until=again) from None
    if now != fingerprint:
        raise ps.NoData(f"{path} was written to since it was seen; it is taken when it is left alone.", until=again)
