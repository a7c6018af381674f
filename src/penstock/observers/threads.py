"""Work of a library that waits, in a thread that nobody has to wait for when the process ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, name: str) -> T:
    """What the work gives, or raises. Its thread is a daemon: one that hangs does not hold the process's end up."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error is None:
            answer.set_result(value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        else:
            answer.set_exception(error)

    def run() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - raised again where the work is waited for
            failure = error
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(tell, value, failure)
            except RuntimeError:  # it was closed just now: nobody waits any more
                return

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
