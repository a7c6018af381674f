"""`notify:` in penstock.yaml: people are told of runs that failed for good, in one message for many, at least once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import structlog

from penstock.model.errors import LedgerUnavailable, NotDelivered
from penstock.model.notifying import Notify
from penstock.operations.notice_text import text_of, title_of
from penstock.ports.notices import Batch, NoticeStore, Sender, Waiting

PAUSE: Final = 2.0
"""Seconds between looks for notices that are due."""
AT_END: Final = 10.0
"""Seconds that a process stays at its end to tell what waits; what it cannot tell stays for another."""
LEASE: Final = 90.0
"""Seconds for which a target is one process's; longer than a message may take."""
LONGEST_SEND: Final = 60.0
FIRST_WAIT: Final = 30.0
LONGEST_WAIT: Final = 3_600.0


def wait_after(tries: int) -> float:
    """Seconds until a target that refused `tries` times in a row is tried again: 30 s, doubled, at most an hour."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(max(tries - 1, 0), 16))


class Notices:
    """Tells one app's people, beside the work and never in its way.

    Args:
        app: Whose runs.
        store: Where notices wait.
        sender: Hands them over.
        notify: Whom, and of what.
    """

    def __init__(self, app: str, store: NoticeStore, sender: Sender, notify: Notify) -> None:
        self._app, self._store, self._sender, self._notify = app, store, sender, notify
        self._log = structlog.get_logger("penstock.notify")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Tell in the background; at the end what waits, for at most 10 seconds."""
        await self.collect()  # from here on the log is read for them
        stopping = asyncio.Event()
        task = asyncio.create_task(self._loop(stopping), name="penstock-notices")
        try:
            yield
        finally:
            stopping.set()
            _, late = await asyncio.wait([task], timeout=AT_END)
            for one in late:
                one.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if late:
                self._log.warning("notices wait for another process", reason="telling them takes too long")

    async def _loop(self, stopping: asyncio.Event) -> None:
        over = False
        while not over:
            over = stopping.is_set()
            try:
                await self.collect()
                await self.tell(whole=over)
            except LedgerUnavailable as error:
                self._log.warning("notices wait for the ledger", reason=str(error))
            except Exception:  # noqa: BLE001 - whatever it is, the next look may tell them
                self._log.exception("notices wait: telling them failed")
            if not over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), PAUSE)

    async def collect(self) -> int:
        """Take what is new in the log of events."""
        return await self._store.collect_notices(self._app, list(self._notify.targets), self._notify.ends)

    async def tell(self, *, whole: bool = False) -> int:
        """Tell every target what is due, all targets side by side; returns the runs that were told.

        Args:
            whole: Do not wait for more to collect.
        """
        told = await asyncio.gather(*(self._tell(target, whole=whole) for target in self._notify.targets))
        return sum(told)

    async def _tell(self, target: str, *, whole: bool) -> int:
        batch = await self._store.take_batch(self._app, target, collect=self._notify.collect, lease=LEASE, whole=whole)
        if batch is None:
            return 0
        try:
            await self._hand_over(batch)
        except NotDelivered as error:
            wait = wait_after(batch.tries + 1)
            self._log.warning("a notice was not delivered", target=target, reason=str(error), again_in=wait)
            await self._store.refused(batch, str(error), wait=wait)
            return 0
        await self._store.told(batch, every=self._notify.every)
        return batch.total

    async def _hand_over(self, batch: Batch) -> None:
        try:
            async with asyncio.timeout(LONGEST_SEND):
                await self._sender.send(batch.target, title_of(batch), text_of(batch))
        except TimeoutError:
            raise NotDelivered(f"no answer within {LONGEST_SEND:.0f} s") from None

    async def waiting(self) -> Sequence[Waiting]:
        """How it stands with each target, those that are set first and in their order."""
        found = {one.target: one for one in await self._store.waiting_notices(self._app)}
        here = [found.pop(name, Waiting(target=name, waiting=0)) for name in self._notify.targets]
        return [*here, *found.values()]


def trial_message(app: str) -> tuple[str, str]:
    """Title and text of a message that only tries whether it arrives."""
    return f"[{app}] test", "This is a test of Penstock's notices. Runs that fail for good are told here."
