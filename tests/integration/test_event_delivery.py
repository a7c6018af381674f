"""Events to sinks among several processes: all of them, in order per run, and again only when somebody has died."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import pytest_asyncio

from penstock.ledger.postgres import PostgresLedger
from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import NotDelivered
from penstock.model.publishing import Publishing, SinkSettings
from penstock.model.results import Event
from penstock.operations import publishing as timing
from penstock.operations.delivering import Deliveries
from penstock.operations.publishing import Publications, wait_after

APP = "shop"
BOTH = Publishing(sinks={name: SinkSettings(name=name, kind="postgres") for name in ("bus", "hook")})
ONE = Publishing(sinks={"bus": SinkSettings(name="bus", kind="postgres")})
FAILED_ONLY = SinkSettings(name="bus", kind="postgres", types=frozenset({"execution.failed"}))


class Died(BaseException):
    """The process is gone, there and then."""


class Place:
    """Where events go; what is to happen there is said beforehand."""

    def __init__(self) -> None:
        self.came: list[CloudEvent] = []
        self.refuses = False
        self.dies_after = 0
        self.takes_of_a_batch: int | None = None
        self.slow = 0.0
        self.closed = 0
        self.begun = asyncio.Event()

    async def send(self, events: Sequence[CloudEvent]) -> None:
        self.begun.set()
        await asyncio.sleep(self.slow)
        if self.refuses:
            raise NotDelivered("no room")
        taken = events if self.takes_of_a_batch is None else events[: self.takes_of_a_batch]
        self.came += taken
        if self.dies_after and len(self.came) >= self.dies_after:
            raise Died
        if len(taken) < len(events):
            raise NotDelivered("that is enough", delivered=len(taken))

    async def close(self) -> None:
        self.closed += 1


@pytest_asyncio.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = PostgresLedger(database_url, size=20)
    await ledger.open()
    yield ledger
    await ledger.close()


def process(ledger: PostgresLedger, settings: Publishing = BOTH, **places: Place) -> Publications:
    return Publications(APP, ledger, settings, lambda sink: places[sink.name])


async def happen(url: str, *runs: int, kind: str = "execution.completed") -> list[UUID]:
    """Events in the outbox, as the commit of a run's record writes them."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "insert into penstock.outbox (app, type, at, run_id, data) select %s, %s, clock_timestamp(), r,"
            " json_build_object('error', 'bad') from unnest(%s::bigint[]) r returning event_id",
            [APP, kind, list(runs)],
        )
        return [row[0] for row in await cursor.fetchall()]


async def leases_are_over(ledger: PostgresLedger) -> None:
    async with ledger.connection() as connection:
        await connection.execute("update penstock.event_readers set lease_until = now(), next_at = now()")


async def standing(ledger: PostgresLedger) -> dict[str, tuple[int, int, str | None]]:
    return {one.name: (one.waiting, one.tries, one.error) for one in await ledger.readers(APP)}


async def test_every_sink_gets_every_event_in_order(ledger: PostgresLedger, database_url: str) -> None:
    bus, hook = Place(), Place()
    one = process(ledger, bus=bus, hook=hook)
    ids = await happen(database_url, *range(1, 451))
    assert await one.send() == 900
    for place in (bus, hook):
        assert [event.id for event in place.came] == ids
        assert [event.position for event in place.came] == sorted(event.position for event in place.came)
        assert place.came[0].data == {"error": "bad"}
    assert await one.send() == 0
    assert await standing(ledger) == {"bus": (0, 0, None), "hook": (0, 0, None)}


async def test_positions_become_visible_in_order_however_many_write_and_read(
    ledger: PostgresLedger, database_url: str
) -> None:
    """Writers whose commits overtake one another, and eight processes that all move events and deliver."""
    bus = Place()
    processes = [process(ledger, ONE, bus=bus) for _ in range(8)]
    await processes[0].send()
    made: dict[int, list[UUID]] = {}
    stop = asyncio.Event()

    async def writer(run: int) -> None:
        chance = random.Random(run)
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            for _ in range(30):
                cursor = await connection.execute(
                    "insert into penstock.outbox (app, type, at, run_id) values (%s, 'layer.completed', now(), %s)"
                    " returning event_id",
                    [APP, run],
                )
                rows = await cursor.fetchall()
                await asyncio.sleep(chance.random() / 200)
                await connection.commit()
                made.setdefault(run, []).append(rows[0][0])

    async def reader(one: Publications) -> None:
        while not stop.is_set():
            await one.send()

    readers = [asyncio.create_task(reader(one)) for one in processes]
    await asyncio.gather(*(writer(run) for run in range(1, 9)))
    stop.set()
    await asyncio.gather(*readers)
    await processes[0].send()
    assert len(bus.came) == 240, "nothing is skipped, and nothing comes twice while nobody dies"
    for run, ids in made.items():
        of_run = [event.id for event in bus.came if event.run.hex.endswith(f"{run:015x}")]
        assert of_run == ids


async def test_nobody_goes_by_a_move_that_is_not_committed_yet(ledger: PostgresLedger, database_url: str) -> None:
    """A commit that is late has a lower number than what is being moved: its move has to wait all the same."""
    bus = Place()
    one = process(ledger, ONE, bus=bus)
    await happen(database_url, 0)
    await one.send()
    put = "insert into penstock.outbox (app, type, at, run_id) values (%s, 'layer.completed', now(), %s)"
    move = "select penstock.sequence_events(%s, 1)"
    connect = psycopg.AsyncConnection.connect
    async with await connect(database_url) as late, await connect(database_url) as mover:
        await late.execute(put, [APP, 1])
        await happen(database_url, 2)
        await mover.execute(move, [APP])
        await late.commit()
        async with await connect(database_url) as other:
            await other.execute("set lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await other.execute(move, [APP])
    await one.send()
    assert [event.run.hex[-1] for event in bus.came] == ["0", "2", "1"]


async def test_who_dies_between_sending_and_noting_it_is_followed_by_one_who_sends_the_same_again(
    ledger: PostgresLedger, database_url: str
) -> None:
    bus = Place()
    dying, heir = process(ledger, ONE, bus=bus), process(ledger, ONE, bus=bus)
    ids = await happen(database_url, 1, 1, 2)
    bus.dies_after = 3
    with pytest.raises(Died):
        await dying.send()
    bus.dies_after = 0
    assert await heir.send() == 0  # they are still the dead one's
    await leases_are_over(ledger)
    assert await heir.send() == 3
    assert [event.id for event in bus.came] == [*ids, *ids]
    first, again = bus.came[:3], bus.came[3:]
    assert [event.structured() for event in first] == [event.structured() for event in again]


async def test_two_processes_at_one_sink_never_send_at_the_same_time(ledger: PostgresLedger, database_url: str) -> None:
    bus = Place()
    bus.slow = 0.01
    at_work = 0
    send = bus.send

    async def watched(events: Sequence[CloudEvent]) -> None:
        nonlocal at_work
        at_work += 1
        assert at_work == 1
        await send(events)
        at_work -= 1

    bus.send = watched  # type: ignore[method-assign]
    processes = [process(ledger, ONE, bus=bus) for _ in range(2)]
    ids: list[UUID] = []
    for _ in range(10):
        ids += await happen(database_url, *range(1, 120))
        await asyncio.gather(*(one.send() for one in processes))
    assert [event.id for event in bus.came] == ids


async def test_a_slow_send_keeps_what_it_has(
    ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "LEASE", 1.5)
    bus = Place()
    bus.slow = 4.0
    await happen(database_url, 1)
    slow, other = process(ledger, ONE, bus=bus), process(ledger, ONE, bus=bus)
    task = asyncio.create_task(slow.send())
    await bus.begun.wait()
    while not task.done():
        await other.send()
        await asyncio.sleep(0.05)
    assert (await task, len(bus.came)) == (1, 1)


async def test_a_sink_that_is_down_holds_up_nobody_and_gets_all_of_it_in_the_end(
    ledger: PostgresLedger, database_url: str
) -> None:
    bus, hook = Place(), Place()
    bus.refuses = True
    one = process(ledger, bus=bus, hook=hook)
    ids: list[UUID] = []
    for number in range(1, 4):
        ids += await happen(database_url, number)
        await leases_are_over(ledger)
        await one.send()
        await one.send()  # it is not due: it is not even tried
        assert (await standing(ledger))["bus"] == (number, number, "no room")
        assert [event.id for event in hook.came] == ids
    bus.refuses = False
    await leases_are_over(ledger)
    await one.send()
    assert [event.id for event in bus.came] == ids
    assert (await standing(ledger))["bus"] == (0, 0, None)
    assert [wait_after(tries) for tries in (1, 2, 3, 6, 7, 99)] == [1, 2, 4, 32, 60, 60]


async def test_what_a_sink_took_before_it_refused_is_not_sent_again(ledger: PostgresLedger, database_url: str) -> None:
    bus = Place()
    bus.takes_of_a_batch = 2
    one = process(ledger, ONE, bus=bus)
    ids = await happen(database_url, *range(5))
    sent = 0
    while sent < 5:
        await leases_are_over(ledger)
        sent += await one.send()
    assert [event.id for event in bus.came] == ids


async def test_a_sink_gets_the_types_it_wants_and_its_place_moves_past_the_others(
    ledger: PostgresLedger, database_url: str
) -> None:
    bus = Place()
    one = process(ledger, Publishing(sinks={"bus": FAILED_ONLY}), bus=bus)
    await happen(database_url, *range(1, 300))
    (bad,) = await happen(database_url, 300, kind="execution.failed")
    await happen(database_url, *range(301, 400))
    assert await one.send() == 1
    assert [event.id for event in bus.came] == [bad]
    assert (await standing(ledger))["bus"] == (0, 0, None)


async def test_a_new_sink_begins_with_what_happens_from_then_on(ledger: PostgresLedger, database_url: str) -> None:
    bus, hook = Place(), Place()
    await happen(database_url, 1)
    await process(ledger, ONE, bus=bus).send()
    (second,) = await happen(database_url, 2)
    await process(ledger, bus=bus, hook=hook).send()
    assert len(bus.came) == 2
    assert [event.id for event in hook.came] == [second]
    await happen(database_url, 3, 4)
    assert await ledger.drop_reader(APP, "hook") == 0  # they are still in the outbox, where they are for all
    assert await ledger.drop_reader(APP, "hook") is None


async def test_a_process_that_stops_sends_what_is_left_and_lets_go(
    ledger: PostgresLedger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "AT_END", 0.5)
    bus = Place()
    async with process(ledger, ONE, bus=bus).running():
        ids = await happen(database_url, 1, 2)
    assert ([event.id for event in bus.came], bus.closed) == (ids, 1)
    bus.slow = 60.0
    async with process(ledger, ONE, bus=bus).running():
        ids += await happen(database_url, 3)
    bus.slow = 0.0
    await process(ledger, ONE, bus=bus).send()  # at once: what was broken off was given back
    assert [event.id for event in bus.came] == ids


async def test_connections_that_break_lose_nothing_and_keep_the_order(
    ledger: PostgresLedger, database_url: str
) -> None:
    """The server hangs up on everybody, again and again, while events happen and are sent."""
    bus = Place()
    bus.slow = 0.02
    ids: list[UUID] = []
    async with process(ledger, ONE, bus=bus).running():
        for number in range(1, 11):
            ids += await happen(database_url, *range(number, number + 20))
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
            deadline = asyncio.get_running_loop().time() + 30
            while len({event.id for event in bus.came}) < len(ids) and number % 3 == 0:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.02)
    await leases_are_over(ledger)
    await process(ledger, ONE, bus=bus).send()
    assert list({event.id: event for event in bus.came}) == ids


async def test_a_sink_that_cannot_be_made_waits_like_one_that_refuses(
    ledger: PostgresLedger, database_url: str
) -> None:
    def nothing(sink: SinkSettings) -> Place:
        raise KeyError(sink.name)

    broken = Publications(APP, ledger, ONE, nothing)
    await happen(database_url, 1)
    await broken.send()
    assert (await standing(ledger))["bus"] == (1, 1, "KeyError: 'bus'")


# Functions of the app


def functions(ledger: PostgresLedger, *handlers: Any) -> Deliveries:
    async def call(handler: Any, **given: Any) -> Any:
        return await handler(**given)

    return Deliveries(APP, ledger, call, {"execution.completed": handlers})


async def test_functions_get_events_in_order_and_again_from_where_one_failed(
    ledger: PostgresLedger, database_url: str
) -> None:
    seen: list[UUID] = []
    fails = True

    async def handler(event: Event) -> None:
        if fails and len(seen) == 2:
            raise OSError("not now")
        seen.append(event.id)

    one = functions(ledger, handler)
    ids = await happen(database_url, 1, 2, 3, 4)
    assert await one.deliver() == 2
    assert (await standing(ledger))["@on"] == (2, 1, "handler: OSError: not now")
    fails = False
    assert await one.deliver() == 2
    assert seen == ids


async def test_a_function_is_called_by_one_process_at_a_time(ledger: PostgresLedger, database_url: str) -> None:
    seen: list[UUID] = []

    async def handler(event: Event) -> None:
        await asyncio.sleep(0.001)
        seen.append(event.id)

    ids = await happen(database_url, *range(1, 250))
    await asyncio.gather(*(functions(ledger, handler).deliver() for _ in range(3)))
    await functions(ledger, handler).deliver()
    assert seen == ids


async def test_events_of_other_apps_are_not_touched(ledger: PostgresLedger, database_url: str) -> None:
    bus = Place()
    await happen(database_url, 1)
    other = Publications("other", ledger, ONE, lambda _: bus)
    assert await other.send() == 0
    assert not await ledger.readers("nowhere")
    assert await ledger.take_events("other", "bus", owner=uuid4(), types=None, lease=1, limit=1) is None
    assert await process(ledger, ONE, bus=bus).send() == 1
