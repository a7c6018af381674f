"""Steps that fail with what nobody should read in their messages, and units that would rule a terminal."""

import os
from pathlib import Path
from typing import NamedTuple

import psycopg
from pydantic import SecretStr
from pydantic_settings import BaseSettings

import penstock as ps


class Settings(BaseSettings):
    source_key: SecretStr


class Leak(NamedTuple):
    kind: str


leaks = ps.Pipeline(
    "leaks",
    Leak,
    retry=ps.Retry(attempts=1),
    gaps=ps.SqlGaps(
        "select kind from (values ('known'), ('httpx'), ('psycopg'), ('logged'), ('chain'), ('terminal')) v (kind)"
    ),
)


@leaks.step
async def leak(ctx: ps.Context[Leak], settings: Settings) -> None:
    key = settings.source_key.get_secret_value()
    match ctx.unit.kind:
        case "known":
            raise ValueError(f"the source refused {key} of db-pass-4711")
        case "httpx":
            # What httpx's raise_for_status says.
            url = "https://api.test/v1/prices?symbol=RY&apikey=url-token-4711"
            raise RuntimeError(f"Client error '403 Forbidden' for url '{url}'")
        case "psycopg":
            raise psycopg.OperationalError("connection to postgresql://other:other-pass-4711@h/db failed")
        case "logged":
            said = f"asked with {key}"
            ctx.log.info(said, header={"Authorization": "Bearer bearer-token-4711"}, key=key)
        case "chain":
            try:
                raise RuntimeError("deep: " + key)  # noqa: TRY301 - it is the chain that matters
            except RuntimeError as error:
                raise KeyError("shallow") from error
        case _:
            ctx.log.warning("first\n2026-01-01 00:00:00  INFO  run  forged\x1b[2Jcleared", field="\x1b]0;title\x07")
            raise ps.InvalidData("bad\n\x1b[31mred\u202etxt.exe")


app = ps.App("leaks", [leaks], settings=Settings)


@app.on("execution.failed")
def tell(event: ps.Event) -> None:
    with Path(os.environ["TEST_EVENTS"]).open("a", encoding="utf-8") as file:
        file.write(f"{event.data}\n")
