"""Work on something that is ours for a time only: the time is made longer while the work goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from penstock.model.errors import LeaseLost, LedgerUnavailable

T = TypeVar("T")


async def while_held(work: Coroutine[Any, Any, T], renew: Callable[[], Awaitable[bool]], *, every: float) -> T:
    """What the work gives.

    Args:
        work: What is done.
        renew: Asks for more time; False: it is somebody else's by now.
        every: Seconds between askings.

    Raises:
        LeaseLost: It is somebody else's; the work was broken off.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=every))[0]:
            try:
                held = await renew()
            except LedgerUnavailable:
                continue  # nobody else can take it either
            if not held:
                raise LeaseLost("It took too long, and another process has taken it over.")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
