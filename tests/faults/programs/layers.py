"""Medallion under attack: it ingests and makes the layers, and dies by SIGKILL right after a load, before its record.

- `FAULTS_DIE_AFTER`: after so many loads of this process; 0 lets it live. A load is then on the server, in the step's
  transaction, and neither committed nor recorded.
- `FAULTS_INBOX`: the drop folder of its one feed, which is made where it is not there.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from medallion import gold
from medallion.feeds import FeedConfig, NewFeed, create_feeds, create_org, every_feed
from medallion.pipelines import app, through_layers
from medallion.preparing import prepare
from penstock import data

DIE_AFTER = int(os.environ.get("FAULTS_DIE_AFTER", "0"))
loads = 0


def deadly(load: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The same load, which may be this process's last."""

    async def loading(*args: Any, **kwargs: Any) -> Any:
        global loads  # noqa: PLW0603 - one count for all kinds of loads
        loaded = await load(*args, **kwargs)
        loads += 1
        if loads == DIE_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return loaded

    return loading


async def main() -> None:
    async with app.client() as client:
        await prepare(client)
        async with client.connection() as conn:
            if not await every_feed(conn):
                org_id = await create_org(conn, "Acme")
                config = FeedConfig(folder=Path(os.environ["FAULTS_INBOX"]))
                await create_feeds(conn, org_id, [NewFeed(name="Drop", source="drop", config=config)])
        for _, done in await through_layers(client, {}, "test"):
            assert done.ok, done.failed


data.load = deadly(data.load)
gold._again = deadly(gold._again)
asyncio.run(main())
