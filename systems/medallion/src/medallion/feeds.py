"""Organizations, their feeds and their campaigns: made, shown and taken away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

import penstock as ps
from medallion.formats import Format, format_of
from medallion.queries import queries

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_FILE = "feeds.sql"


class FeedConfig(BaseModel):
    """How a feed is read.

    Attributes:
        format: The name of a format, or one of the feed's own.
        folder: The drop folder, for a feed that is dropped.
        pattern: Which files of it are taken.
        credential: The credential's name, for a feed of a DSP.
        advertiser: The DSP's id of the advertiser whose reports are fetched.
        currency: What amounts are in.
        first_day: The earliest day that is wanted when nobody names a range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str | Format = "standard"
    folder: Path | None = None
    pattern: str = "*"
    credential: str | None = None
    advertiser: str | None = None
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    first_day: date | None = None

    @field_validator("pattern")
    @classmethod
    def _within(cls, value: str) -> str:
        parts = value.split("/")
        if {"", ".", ".."} & set(parts) or "\0" in value or any("**" in part and part != "**" for part in parts):
            raise ValueError(f"{value!r} names no files of the folder: give such as *.csv, or **/*.csv")
        return value

    @field_validator("format")
    @classmethod
    def _known(cls, value: str | Format) -> str | Format:
        try:
            format_of(value)
        except ps.InvalidData as error:
            raise ValueError(str(error)) from None
        return value


class NewFeed(BaseModel):
    """A feed that should be made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    source: Literal["dsp", "drop"]
    config: FeedConfig = FeedConfig()

    @model_validator(mode="after")
    def _complete(self) -> NewFeed:
        if self.source == "drop" and self.config.folder is None:
            raise ValueError("a feed that is dropped needs config.folder")
        if self.source == "dsp" and (self.config.credential is None or self.config.advertiser is None):
            raise ValueError("a feed of a DSP needs config.credential, the name of a credential, and config.advertiser")
        return self


class Feed(NamedTuple):
    """A feed that is there."""

    id: UUID
    org_id: int
    name: str
    source: str
    config: FeedConfig
    active: bool


class Campaign(NamedTuple):
    """What may be spent on a campaign, and when."""

    campaign_id: str
    name: str | None
    budget: Decimal
    starts: date
    ends: date


def feed_of(body: Mapping[str, Any]) -> NewFeed:
    """A feed as somebody wrote it.

    Raises:
        InvalidData: It does not fit; the message names the field.
    """
    try:
        return NewFeed(**body)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "it"
        raise ps.InvalidData(f"The feed {body.get('name', '')!r}: {where}: {fault['msg']}.") from None


async def create_org(conn: AsyncConnection[Any], name: str) -> int:
    """Make an organization.

    Raises:
        InvalidData: There is one of that name.
    """
    row = await _one(conn, "create_org", {"name": name})
    if row is None:
        raise ps.InvalidData(f"There is an organization {name!r} already; give it feeds instead.")
    return int(row[0])


async def create_feeds(conn: AsyncConnection[Any], org_id: int, feeds: Iterable[NewFeed]) -> list[UUID]:
    """Make feeds of an organization; a credential that one names is this organization's from now on.

    Raises:
        InvalidData: A feed is there already, its folder is not, or its credential is another organization's or none.
    """
    made: list[UUID] = []
    for feed in feeds:
        folder, credential = feed.config.folder, feed.config.credential
        if feed.source == "drop" and (folder is None or not folder.is_dir()):
            raise ps.InvalidData(f"The feed {feed.name!r}: there is no folder {folder}; make it first.")
        if (
            credential is not None
            and await _one(conn, "take_credential", {"name": credential, "org_id": org_id}) is None
        ):
            raise ps.InvalidData(
                f"The feed {feed.name!r}: there is no credential {credential!r} that organization {org_id} may use; "
                f"python -m medallion credentials set {credential}."
            )
        config = feed.config.model_dump(mode="json", exclude_defaults=True)
        if folder is not None:
            config["folder"] = str(folder.resolve())
        body = {"org_id": org_id, "name": feed.name, "source": feed.source, "config": Jsonb(config)}
        row = await _one(conn, "create_feed", body)
        if row is None:
            raise ps.InvalidData(f"Organization {org_id} has a feed {feed.name!r} already.")
        made.append(UUID(str(row[0])))
    return made


async def drop_org(conn: AsyncConnection[Any], org_id: int) -> list[Path]:
    """Take an organization away with all it has; returns the files that were kept for it."""
    cursor = await conn.execute(_sql("landed_files"), {"org_id": org_id})
    files = [Path(str(row[0])) for row in await cursor.fetchall()]
    await conn.execute(_sql("drop_rows"), {"org_id": org_id})
    await conn.execute(_sql("drop_org"), {"org_id": org_id})
    return files


async def every_feed(conn: AsyncConnection[Any], *, org_id: int | None = None) -> list[Feed]:
    """All feeds, or an organization's, by name."""
    cursor = await conn.execute(_sql("every_feed"), {"org_id": org_id})
    return [_feed(row) for row in await cursor.fetchall()]


async def feed_by_id(conn: AsyncConnection[Any], feed_id: UUID) -> Feed:
    """The feed of this id.

    Raises:
        InvalidData: It was taken away.
    """
    row = await _one(conn, "feed_by_id", {"id": feed_id})
    if row is None:
        raise ps.InvalidData(f"There is no feed {feed_id}; it was taken away since this was planned.")
    return _feed(row)


async def feed_named(conn: AsyncConnection[Any], name: str) -> Feed:
    """The feed of this name or id.

    Raises:
        InvalidData: There is none, or several organizations have one; the message names the nearest.
    """
    feeds = await every_feed(conn)
    found = [feed for feed in feeds if name in (feed.name, str(feed.id))]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(f"{feed.id} (organization {feed.org_id})" for feed in found)
        raise ps.InvalidData(f"Several organizations have a feed {name!r}; say its id: {ids}.")
    near = get_close_matches(name, [feed.name for feed in feeds], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "python -m medallion feeds lists them."
    raise ps.InvalidData(f"There is no feed {name!r}; {hint}")


async def set_campaigns(conn: AsyncConnection[Any], feed_id: UUID, campaigns: Sequence[Campaign]) -> int:
    """Make campaigns, or change those that are there; returns how many."""
    for campaign in campaigns:
        await conn.execute(_sql("set_campaign"), {"feed_id": feed_id, **campaign._asdict()})
    return len(campaigns)


def _feed(row: Sequence[Any]) -> Feed:
    return Feed(UUID(str(row[0])), int(row[1]), str(row[2]), str(row[3]), FeedConfig(**row[4]), bool(row[5]))


async def _one(conn: AsyncConnection[Any], name: str, binds: Mapping[str, Any]) -> Sequence[Any] | None:
    cursor = await conn.execute(_sql(name), binds)
    row: Sequence[Any] | None = await cursor.fetchone()
    return row


def _sql(name: str) -> bytes:
    return queries(_FILE)[name].encode()
