"""What is left to do about handlers that will not go: nobody waits for them, and the process ends when its work does.

Python waits at its end for every thread, and asyncio at its end for every task. A process that has given its lease up
because of one of them is to end all the same, so that cron or systemd can start the next.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

ENDED: Final = 1
"""The exit status of a process that ends without waiting for a thread."""
_busy: list[Callable[[], bool]] = []


def leave_behind(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Let the loop end without these: they were cancelled and go on regardless.

    They are kept, since a coroutine that is thrown away is resumed once more, to be told so.
    """
    left = list(tasks)
    end_without_waiting(lambda: not all(task.done() for task in left))
    for task in left:
        asyncio._unregister_task(task)  # noqa: SLF001 - documented, in "Extending asyncio"
        task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - we know


def end_without_waiting(busy: Callable[[], bool]) -> None:
    """When the main thread is through, end the process at once if a handler is busy even then."""
    if not _busy:
        # The last that is registered is called first: before the one that waits for the threads of executors.
        threading._register_atexit(_end)  # type: ignore[attr-defined] # noqa: SLF001 - nothing public comes so early
    _busy.append(busy)


def _end() -> None:
    if any(busy() for busy in _busy):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(ENDED)
