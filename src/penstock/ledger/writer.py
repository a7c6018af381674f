"""The group writer: records of concurrent runs go to disk together, one round trip and one commit for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import psycopg
from psycopg.rows import tuple_row

from penstock.ledger.connect import Connection, is_broken, pause, translated
from penstock.ledger.encoding import attempt_json, call_json, document, end_json, wait_json
from penstock.ledger.lease import ANSWER
from penstock.ledger.link import answered, hang_up
from penstock.ledger.queries import load
from penstock.model.attempt import ProcessId, RunId
from penstock.model.errors import LeaseLost, LedgerUnavailable
from penstock.model.states import TERMINAL
from penstock.ports.records import AttemptRecord, CallRecord, EndRecord, WaitRecord

GROUP = 512
"""Records that go together at most; more would hold their locks for too long."""

Record: TypeAlias = AttemptRecord | CallRecord | WaitRecord | EndRecord
Row: TypeAlias = tuple[str, int, int, int, Any]
"""Kind, run, lane, fence, more; see the SQL function `record`."""
LAST_TRIES = 5
"""How often a closing writer tries a database that does not answer."""


@dataclass(slots=True)
class Ticket:
    """One record under way, and whoever waits for it."""

    record: Record
    done: asyncio.Future[Any]
    sent: bool = False


@dataclass(slots=True)
class ClaimTicket:
    """A claim that rides along with the next group."""

    count: int
    spaces: Sequence[int]
    done: asyncio.Future[list[Row]]


@dataclass(slots=True)
class _Group:
    tickets: list[Ticket]
    opened: list[AttemptRecord]
    claim: ClaimTicket | None
    rows: list[Row] = field(default_factory=list[Row])


class GroupWriter:
    """Writes for one process on a connection of its own.

    Args:
        process: Whose lease every write shows.
        connect: Makes an autocommit connection.
        app: The app's name, for the outbox.
        is_lost: Whether the lease is over; then nothing is written any more.
    """

    def __init__(self, process: ProcessId, connect: Callable[[], Any], app: str, is_lost: Callable[[], bool]) -> None:
        self.process, self._connect, self._app, self._is_lost = process, connect, app, is_lost
        self._connection: Connection | None = None
        self._tickets: deque[Ticket] = deque()
        self._opened: dict[tuple[RunId, int], AttemptRecord] = {}
        self._claim: ClaimTicket | None = None
        self._wake = asyncio.Event()
        self._turn = 0
        self._closing = False
        self._held: dict[int, int] = {}  # lane → fence, of the claims that were answered
        self._doubtful = False
        self._sql = load("work")["record"]
        self._task = asyncio.create_task(self._loop(), name="penstock-writer")

    async def write(self, record: Record) -> Any:
        """Queue a record and wait until it is on disk.

        Returns:
            The recorded time of an attempt; for an end that keeps, the row of the lane's next run, or None.

        Raises:
            LeaseLost: Its fence does not fit, or the process has lost its lease.
        """
        if self._closing or self._is_lost():
            raise LeaseLost("This process has lost its lease; another one goes on.")
        done = asyncio.get_running_loop().create_future()
        if isinstance(record, AttemptRecord):
            self._opened.pop((record.hold.run, record.seq), None)
        self._tickets.append(Ticket(record, done))
        self._wake.set()
        return await done

    def opened(self, record: AttemptRecord) -> None:
        """An open attempt that goes with the next group, unless its end overtakes it."""
        self._opened[record.hold.run, record.seq] = record

    async def claim(self, count: int, spaces: Sequence[int]) -> list[Row]:
        """Claim with the next group."""
        if self._claim is not None:
            msg = "one claim at a time"
            raise RuntimeError(msg)
        done: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._claim = ClaimTicket(count, spaces, done)
        self._wake.set()
        return await done

    def forget(self, rows: Iterable[Row]) -> None:
        """Claims that nobody carries after all; they are let go like one whose answer was lost."""
        for row in rows:
            self._released(row[2], row[3])
        self.look_for_strays()

    def look_for_strays(self) -> None:
        """With the next group, let go what the ledger thinks we hold and we know nothing of."""
        self._doubtful = True

    def nudge(self) -> None:
        """Write what is open now."""
        if self._opened:
            self._wake.set()

    def hang_up(self) -> None:
        """Break the line: nobody is to wait for an answer on it any more."""
        if self._connection is not None and not self._connection.closed:
            hang_up(self._connection)

    async def close(self) -> None:
        """Write what is queued and close the connection."""
        self._closing = True
        self._wake.set()
        await self._task
        if self._connection is not None:
            await self._connection.close()

    async def _loop(self) -> None:
        try:
            while not self._closing or self._tickets:
                await self._wake.wait()
                self._wake.clear()
                while self._tickets or self._opened or self._claim:
                    await self._write_group()
        finally:  # nobody waits for a writer that is gone
            self._closing = True
            self._fail(_Group(list(self._tickets), [], self._claim), LeaseLost("This process writes no more."))

    async def _write_group(self) -> None:
        tickets = [self._tickets.popleft() for _ in range(min(GROUP, len(self._tickets)))]
        claim, self._claim = self._claim, None
        opened, self._opened = list(self._opened.values()), {}
        group = _Group(tickets, opened, claim)
        try:
            await self._send(group)
        except LeaseLost as error:
            self._fail(group, error)
        except (psycopg.Error, ValueError) as error:  # ValueError: text that cannot be encoded
            await self._one_by_one(group, error)
        except BaseException as error:
            self._fail(group, error)
            raise
        else:
            self._resolve(group)

    async def _send(self, group: _Group) -> None:
        """Send until it is answered; what was sent before and not answered may be on disk already."""
        tries = 0
        while True:
            if self._is_lost():
                raise LeaseLost("This process has lost its lease; another one goes on.")
            try:
                connection = self._connection
                if connection is None or connection.closed:
                    connection = self._connection = await self._open()
                with answered(connection, ANSWER):
                    if self._doubtful:
                        await self._let_strays_go(connection)
                    await self._execute(connection, group)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                await pause(tries)  # with a cancel or a migration: it was rolled back, and may go again as it is
                tries += 1
            except (psycopg.Error, LedgerUnavailable, OSError) as error:
                if isinstance(error, psycopg.Error) and not is_broken(error):
                    with translated():
                        raise
                self._doubtful = True
                for ticket in group.tickets:
                    ticket.sent = True
                if self._connection is not None:
                    await self._connection.close()
                if self._closing and tries > LAST_TRIES:
                    raise LeaseLost("The database does not answer at the end; the lease runs out.") from error
                await pause(tries)
                tries += 1
            else:
                return

    async def _open(self) -> Connection:
        connection: Connection = await self._connect()
        return connection

    async def _let_strays_go(self, connection: Connection) -> None:
        """A claim whose answer was lost on the way holds its lane for a process that does not know of it."""
        held = {"process": self.process, "lanes": list(self._held), "fences": list(self._held.values())}
        await connection.execute(load("work")["let_strays_go"], held)
        self._doubtful = False

    async def _execute(self, connection: Connection, group: _Group) -> None:
        attempts = [attempt_json(r) for r in group.opened]
        calls: list[str] = []
        waits: list[str] = []
        ends: list[str] = []
        for ticket in group.tickets:
            match ticket.record:
                case AttemptRecord() as record:
                    attempts.append(attempt_json(record))
                case CallRecord() as record:
                    calls.append(call_json(record))
                case WaitRecord() as record:
                    waits.append(wait_json(record))
                case EndRecord() as record:
                    ends.append(end_json(record, self._app))
        claim = group.claim
        self._turn += 1
        binds = {
            "process": self.process,
            "attempts": document(attempts),
            "calls": document(calls),
            "waits": document(waits),
            "ends": document(ends),
            "k": claim.count if claim else 0,
            "spaces": list(claim.spaces) if claim else [],
            "turn": self._turn,
        }
        cursor = connection.cursor(row_factory=tuple_row)
        await cursor.execute(self._sql, binds, prepare=True)
        group.rows = await cursor.fetchall()

    def _resolve(self, group: _Group) -> None:
        at = next((row[4] for row in group.rows if row[0] == "time"), None)
        late = {row[1]: row for row in group.rows if row[0] == "late"}
        claims = {row[2]: row for row in group.rows if row[0] == "claim"}
        for ticket in group.tickets:
            hold, row = ticket.record.hold, late.get(ticket.record.hold.run)
            if row is not None or isinstance(ticket.record, EndRecord | WaitRecord):
                self._released(hold.lane, hold.fence)
            # A lane that is not kept may have been given to the claim of this very group.
            keeps = isinstance(ticket.record, EndRecord) and ticket.record.keep
            following = claims.pop(hold.lane, None) if keeps else None
            if ticket.done.done():  # nobody waits any more, nor carries what follows
                self._doubtful |= following is not None
            elif row is not None and not _said_before(ticket, row):
                msg = f"Run {hold.run} was taken over; what this process did is not kept."
                ticket.done.set_exception(LeaseLost(msg))
            elif isinstance(ticket.record, EndRecord):
                self._hold([] if following is None else [following])
                ticket.done.set_result(following)
            else:
                ticket.done.set_result(at)
        if group.claim is not None and not group.claim.done.done():
            self._hold(claims.values())
            group.claim.done.set_result(list(claims.values()))

    def _hold(self, claims: Iterable[Row]) -> None:
        self._held.update((row[2], row[3]) for row in claims)

    def _released(self, lane: int, fence: int) -> None:
        if self._held.get(lane) == fence:
            del self._held[lane]

    async def _one_by_one(self, group: _Group, error: Exception) -> None:
        """One bad row must not fail the others: each goes alone, and only the bad one gets the error."""
        singles = [_Group([ticket], [], None) for ticket in group.tickets]
        singles += [_Group([], [record], None) for record in group.opened]
        if group.claim is not None:
            singles.append(_Group([], [], group.claim))
        if len(singles) == 1:
            self._fail(group, error)
            return
        for single in singles:
            try:
                await self._send(single)
            except (LeaseLost, psycopg.Error, ValueError) as bad:
                self._fail(single, bad)
            else:
                self._resolve(single)

    def _fail(self, group: _Group, error: BaseException) -> None:
        for ticket in group.tickets:
            if not ticket.done.done():
                ticket.done.set_exception(error)
        if group.claim is not None and not group.claim.done.done():
            group.claim.done.set_exception(error)


def _said_before(ticket: Ticket, late: Row) -> bool:
    """Whether a record is late only because it was sent before, and taken, and the answer was lost."""
    state, fence = late[4]["state"], late[3]
    let_go = isinstance(ticket.record, WaitRecord) and state in ("waiting", "scheduled")
    return ticket.sent and fence == ticket.record.hold.fence and (state in TERMINAL or let_go)
