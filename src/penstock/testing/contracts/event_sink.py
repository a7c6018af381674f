# ruff: noqa: S101, PLR2004 - a contract is made of assertions and expected numbers
"""What every sink of events must do, shown against the real thing behind it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.model.cloud_events import CloudEvent
from penstock.model.errors import NotDelivered
from penstock.ports.events import EventSink

SECRET = "s3cret-of-the-sink"  # noqa: S105 - made up, and looked for where it must not be
_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What the other side got. What its form has no room for is None."""

    type: str
    run: UUID
    id: UUID | None = None
    data: Mapping[str, Any] | None = None


class OtherSide(ABC):
    """The real thing behind a sink."""

    @abstractmethod
    def sink(self) -> EventSink:
        """A new sink to it, as another process would make it."""

    @abstractmethod
    async def arrived(self) -> Sequence[Arrived]:
        """What is there, in the order in which it came; what is known by its id to be there already is left out."""

    @abstractmethod
    async def go_down(self) -> None:
        """From now on nothing is taken."""

    @abstractmethod
    async def come_up(self) -> None:
        """From now on it is taken again."""


def by_run(told: Sequence[Arrived] | Sequence[CloudEvent]) -> dict[UUID, list[str]]:
    """The types of each run's events in their order, which alone is promised."""
    found: dict[UUID, list[str]] = {}
    for one in told:
        found.setdefault(one.run, []).append(one.type)
    return found


def events(*types: str, run: UUID | None = None, first: int = 1, **data: Any) -> list[CloudEvent]:
    """Events of one run."""
    of = uuid4() if run is None else run
    return [
        CloudEvent(id=uuid4(), app="contract", type=kind, run=of, time=_BEGIN + timedelta(seconds=place),
                   position=first + place, data={"pipeline": "letters", "step": "write", **data})
        for place, kind in enumerate(types)
    ]  # fmt: skip


async def until(condition: Callable[[Sequence[Arrived]], bool], other: OtherSide) -> Sequence[Arrived]:
    """What has arrived, as soon as it is as it must be."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while not condition(found := await other.arrived()):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.02)
    return found


class EventSinkContract:
    """A subclass has the fixture `other`."""

    async def test_events_arrive_as_they_are_and_a_runs_in_order(self, other: OtherSide) -> None:
        sink = other.sink()
        a = events("execution.started", "layer.completed", "execution.completed", note='a\n"b" ü €')
        b = events("execution.started", "execution.failed", first=9, error="bad")
        mixed = [a[0], b[0], a[1], b[1], a[2]]
        try:
            await sink.send(mixed)
        finally:
            await sink.close()
        found = await until(lambda found: len(found) >= len(mixed), other)
        assert len(found) == len(mixed)
        for sent in (a, b):
            got = [one for one in found if one.run == sent[0].run]
            assert [one.type for one in got] == [one.type for one in sent]
            assert [one.id for one in got if one.id is not None] in ([], [one.id for one in sent])
            assert all(one.data in (None, event.data) for one, event in zip(got, sent, strict=True))

    async def test_what_is_sent_again_is_known_by_its_id(self, other: OtherSide) -> None:
        sent = events("execution.started", "execution.completed")
        for _ in range(2):  # the first process died before it could note that the events were sent
            sink = other.sink()
            try:
                await sink.send(sent)
            finally:
                await sink.close()
        found = await until(lambda found: len(found) >= 2, other)
        assert [one.type for one in found] == [one.type for one in sent]
        assert {one.id for one in found} in ({None}, {one.id for one in sent})

    async def test_a_sink_that_is_down_says_so_without_its_secrets_and_goes_on_when_it_is_up(
        self, other: OtherSide
    ) -> None:
        sink = other.sink()
        before, within = events("execution.started"), events("execution.started", "execution.completed", first=2)
        try:
            await sink.send(before)
            await other.go_down()
            for _ in range(2):
                with pytest.raises(NotDelivered) as refused:
                    await sink.send(within)
                assert str(refused.value).strip()
                assert SECRET not in str(refused.value)
                assert refused.value.delivered == 0
            await other.come_up()
            await self._sent_at_last(sink, within)
        finally:
            await sink.close()
        found = await until(lambda found: len(found) >= 3, other)
        assert by_run(found) == by_run([*before, *within])

    async def test_an_event_may_be_large(self, other: OtherSide) -> None:
        sink = other.sink()
        (sent,) = events("execution.failed", error="x" * 200_000)
        try:
            await sink.send([sent])
        finally:
            await sink.close()
        (one,) = await until(lambda found: len(found) >= 1, other)
        assert (one.run, one.type) == (sent.run, sent.type)

    async def _sent_at_last(self, sink: EventSink, sent: Sequence[CloudEvent]) -> None:
        """As the loop does: again and again until it is taken."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            try:
                await sink.send(sent)
            except NotDelivered:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.1)
            else:
                return
