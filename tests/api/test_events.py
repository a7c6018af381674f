"""Events as they come: nothing is missed by who begins again where it stopped, and nobody hears of others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import psycopg

from penstock.api.http.routes import events
from tests.api.conftest import Served, until

KINDS = ["execution.started", "layer.completed", "quality.issue_detected", "execution.completed"]


class Listener:
    """Reads a stream in the background."""

    def __init__(self, caller: httpx2.AsyncClient, **headers: str) -> None:
        self.heard: list[dict[str, str]] = []
        self.over = False
        self.listening = asyncio.Event()
        self._task = asyncio.create_task(self._read(caller, headers))

    async def _read(self, caller: httpx2.AsyncClient, headers: dict[str, str]) -> None:
        event: dict[str, str] = {}
        async with caller.stream("GET", "/api/v1/events/stream", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                self.listening.set()
                name, _, value = line.partition(": ")
                if line == "" and "data" in event:
                    self.heard.append(event)
                    event = {}
                elif name:
                    event[name] = value
        self.over = True

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def of(self, run: str) -> list[str]:
        return [one["event"] for one in self.heard if json.loads(one["data"])["subject"] == run]


async def trigger(caller: httpx2.AsyncClient, feed: str) -> str:
    answer = await caller.post("/api/v1/etl/trigger", json={"pipeline_id": feed, "parameters": {"force": True}})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["execution_id"])


async def test_a_stream_goes_on_where_it_stopped(served: Served) -> None:
    caller = await served.caller("operator")
    first = Listener(caller)
    await asyncio.wait_for(first.listening.wait(), 20)
    run = await trigger(caller, "pipe_456")
    await until(lambda: "execution.completed" in first.of(run), "the end of the first run")
    await first.leave()
    told = first.of(run)
    assert (told[0], told[-1]) == ("execution.started", "execution.completed")
    assert set(told) == set(KINDS)
    assert [json.loads(one["data"])["data"]["layer"] for one in first.heard if one["event"] == "layer.completed"] == [
        "bronze", "silver", "gold",
    ]  # fmt: skip
    missed = await trigger(caller, "pipe_457")

    async def ended() -> bool:
        return bool((await caller.get(f"/api/v1/runs/{missed}")).json()["state"] == "completed")

    await until(ended, "the end of the second run")
    again = Listener(caller, **{"Last-Event-ID": first.heard[-1]["id"]})
    await until(lambda: "execution.completed" in again.of(missed), "what was missed")
    await again.leave()
    assert not again.of(run)
    middle = Listener(caller, **{"Last-Event-ID": first.heard[1]["id"]})
    await until(lambda: "execution.completed" in middle.of(missed), "all from the middle on")
    await middle.leave()
    ids = [one["id"] for one in first.heard[:2] + middle.heard]
    assert ids == sorted(set(ids), key=int)
    pages = (await caller.get("/api/v1/events", params={"limit": 500})).json()
    assert [one["id"] for one in pages["items"]] == [
        json.loads(one["data"])["id"] for one in first.heard[:2] + middle.heard
    ]
    later = (await caller.get("/api/v1/events", params={"cursor": pages["next_cursor"]})).json()
    assert (later["items"], later["next_cursor"]) == ([], pages["next_cursor"])
    only = await caller.get("/api/v1/events", params={"types": ["execution.completed"]})
    assert [one["type"] for one in only.json()["items"]] == ["execution.completed"] * 2
    assert (await caller.get("/api/v1/events/stream", headers={"Last-Event-ID": "x"})).status_code == 422


async def test_an_organization_hears_of_its_own_runs_alone(served: Served) -> None:
    operator, seven, eight = (
        await served.caller("operator"), await served.caller("viewer", "7"), await served.caller("viewer", "8"),
    )  # fmt: skip
    ours, theirs = Listener(seven, **{"Last-Event-ID": "0"}), Listener(eight, **{"Last-Event-ID": "0"})
    run, other = await trigger(operator, "pipe_456"), await trigger(operator, "pipe_900")
    await until(lambda: "execution.completed" in ours.of(run), "our run")
    await until(lambda: "execution.completed" in theirs.of(other), "their run")
    await ours.leave()
    await theirs.leave()
    assert {json.loads(one["data"])["subject"] for one in ours.heard} == {run}
    assert {json.loads(one["data"])["subject"] for one in theirs.heard} == {other}
    page = (await seven.get("/api/v1/events")).json()["items"]
    assert {one["subject"] for one in page} == {run}


async def test_a_stream_ends_with_its_token_and_with_the_service(
    served: Served, database_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(events, "LOOKS", 1)
    viewer, operator = await served.caller("viewer"), await served.caller("operator")
    revoked, stays = Listener(viewer), Listener(operator)
    await asyncio.wait_for(asyncio.gather(revoked.listening.wait(), stays.listening.wait()), 20)
    await served.gateway.tokens.revoke("viewer-all")
    await until(lambda: revoked.over, "the end of a revoked token's stream")
    assert not stays.over
    served.gateway.stopping.set()
    await until(lambda: stays.over, "the end of the service's streams")
    assert served.gateway.streams == 0
    with psycopg.connect(database_url) as connection:
        count = connection.execute("select count(*) from pg_stat_activity where state like 'idle in%'").fetchone()
    assert count is not None
