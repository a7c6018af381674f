"""Notices among several processes: one of them tells, and one that dies in between loses nothing."""

from __future__ import annotations

import asyncio

import pytest

from penstock.ledger.postgres import PostgresLedger
from penstock.model.errors import NotDelivered
from penstock.model.notifying import Notify
from penstock.operations.noticing import Notices, wait_after
from penstock.testing.contracts.ledger_case import APP, Stage, over

SET = Notify(targets={"ops": "json://127.0.0.1:1", "chat": "json://127.0.0.1:1"}, collect=0)


class Died(BaseException):
    """The process is gone, there and then."""


class Post:
    """Hands over into a list; what is to happen to a target is said beforehand."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.dies_after: set[str] = set()

    async def send(self, target: str, title: str, body: str) -> None:
        await asyncio.sleep(0)
        if target in self.refuses:
            raise NotDelivered("no")
        self.sent.append((target, title))
        if target in self.dies_after:
            raise Died


async def failed(stage: Stage, *names: str) -> None:
    """Runs of these units that failed for good."""
    await stage.apply(*names)
    worker = await stage.worker()
    for run in await stage.claim(worker, len(names)):
        await worker.end(over(run, "failed", error_class="data", error="bad", event="execution.failed"))


async def standing(ledger: PostgresLedger) -> dict[str, tuple[int, int]]:
    return {one.target: (one.waiting, one.tries) for one in await ledger.waiting_notices(APP)}


async def later(ledger: PostgresLedger) -> None:
    """Leases and waits are over."""
    async with ledger.connection() as connection:
        await connection.execute("update penstock.notice_targets set next_at = now()")


async def test_many_processes_tell_each_target_once(ledger: PostgresLedger, stage: Stage) -> None:
    await failed(stage, *"abcdefgh")
    post = Post()
    processes = [Notices(APP, ledger, post, SET) for _ in range(8)]
    taken = await asyncio.gather(*(one.collect() for one in processes))
    assert sum(taken) == 8
    await asyncio.gather(*(one.tell() for one in processes))
    assert sorted(post.sent) == [("chat", "[contract] 8 runs failed"), ("ops", "[contract] 8 runs failed")]
    assert await standing(ledger) == {"chat": (0, 0), "ops": (0, 0)}


async def test_who_dies_after_sending_is_followed_by_one_who_sends_again(ledger: PostgresLedger, stage: Stage) -> None:
    await failed(stage, "a")
    post = Post()
    post.dies_after = {"ops"}
    dying = Notices(APP, ledger, post, SET)
    await dying.collect()
    with pytest.raises(Died):
        await dying.tell()
    post.dies_after = set()
    heir = Notices(APP, ledger, post, SET)
    await heir.tell()
    assert [target for target, _ in post.sent].count("ops") == 1  # it is still the dead one's
    await later(ledger)
    await heir.tell()
    assert [target for target, _ in post.sent].count("ops") == 2
    assert await standing(ledger) == {"chat": (0, 0), "ops": (0, 0)}


async def test_who_refuses_is_asked_less_and_less_and_gets_all_of_it_in_the_end(
    ledger: PostgresLedger, stage: Stage
) -> None:
    post = Post()
    post.refuses = {"ops"}
    notices = Notices(APP, ledger, post, SET)
    for number, name in enumerate("abc", 1):
        await failed(stage, name)
        await notices.collect()
        await later(ledger)
        await notices.tell()
        await notices.tell()  # not due: it is not even tried
        assert (await standing(ledger))["ops"] == (number, number)
    assert [target for target, _ in post.sent] == ["chat"] * 3
    post.refuses = set()
    await later(ledger)
    await notices.tell()
    assert post.sent[-1] == ("ops", "[contract] 3 runs failed")
    assert await standing(ledger) == {"chat": (0, 0), "ops": (0, 0)}
    assert [wait_after(tries) for tries in (1, 2, 3, 8, 99)] == [30, 60, 120, 3600, 3600]


async def test_what_waits_is_collected_before_it_is_told_unless_it_is_the_end(
    ledger: PostgresLedger, stage: Stage
) -> None:
    post = Post()
    patient = Notices(APP, ledger, post, Notify(targets={"ops": "json://x"}, collect=3600))
    await failed(stage, "a")
    await patient.collect()
    assert await patient.tell() == 0
    async with patient.running():
        await failed(stage, "b")
    assert post.sent == [("ops", "[contract] 2 runs failed")]
