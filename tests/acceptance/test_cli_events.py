"""Events of real runs at real sinks: NATS that goes down and up, a webhook that says 500, a process that is killed."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.model.signing import HEADER, verified
from tests.acceptance.conftest import Cli
from tests.integration.event_servers import Hook, Nats

TOKEN = "nats-t0ken-of-the-test"
SECRET = "webhook-s3cret-of-the-test"
RUN = ["execution.started", "layer.completed", "layer.completed", "execution.completed"]


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        yield server


@pytest.fixture
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    server = Nats(tmp_path_factory.mktemp("nats"), TOKEN)
    server.start()
    yield server
    server.stop()


def settings(cli: Cli, *, hook: Hook | None = None, nats: Nats | None = None, more: str = "") -> None:
    """A penstock.yaml with these sinks; what is secret is in the environment only."""
    cli.set("HOOK_SECRET", SECRET)
    cli.set("NATS_TOKEN", TOKEN)
    lines = ["events:", "  sinks:"]
    if hook is not None:
        url = f"http://127.0.0.1:{hook.port}/hooks/${{HOOK_SECRET}}"
        lines.append(f"    hook: {{type: webhook, url: '{url}', secret: '${{HOOK_SECRET}}', timeout: 5{more}}}")
    if nats is not None:
        lines.append(
            f"    bus: {{type: nats, servers: 'nats://127.0.0.1:{nats.port}', token: '${{NATS_TOKEN}}', timeout: 2}}"
        )
    cli.write("penstock.yaml", "\n".join(lines))


def posted(hook: Hook) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for post in hook.posts:
        assert verified(SECRET, post.body, post.headers[HEADER.lower()])
        found += json.loads(post.body)
    return found


def stored(nats: Nats) -> list[dict[str, Any]]:
    return asyncio.run(nats.stored("etl.events", "ETL_EVENTS"))


def of_runs(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The types of each run's events, in the order in which they came."""
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(event["subject"], []).append(event["type"])
    return found


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_is_told_to_every_sink_with_its_layers_in_order(cli: Cli, hook: Hook, nats: Nats) -> None:
    settings(cli, hook=hook, nats=nats)
    told = cli("run", "bank_id=1")
    assert told.status == 0
    first, second = posted(hook), stored(nats)
    assert sorted(event["id"] for event in first) == sorted(event["id"] for event in second)
    assert [*of_runs(first).values()] == [*of_runs(second).values()] == [RUN, RUN]
    assert [event["data"]["step"] for event in first if event["type"] == "layer.completed"].count("record") == 2
    (event, *_) = (event for event in first if event["type"] == "execution.completed")
    assert event["source"] == "/penstock/reports"
    assert event["data"]["pipeline"] == "reports"
    assert event["data"]["execution_id"] == event["subject"]
    assert (event["data"]["state"], event["data"]["units"]) == ("completed", 1)
    assert event["data"]["duration_ms"] >= 0
    assert TOKEN not in told.out + told.err

    listed = cli("events", "list", "--json").json
    assert listed == sorted(first, key=lambda one: one["sequence"])
    page = cli("events", "list", "--json", "--limit", "3").json
    after = str(int(page[-1]["sequence"]))
    assert [*page, *cli("events", "list", "--json", "--after", after).json] == listed
    assert {one["type"] for one in cli("events", "list", "--json", "--type", "execution.started").json} == {RUN[0]}
    assert len(cli("events", "list", "--json", "--run", event["subject"]).json) == 4
    assert "execution.completed" in cli("events", "list", "--run", "1").out
    assert "did you mean execution.completed?" in cli("events", "list", "--type", "execution.complete").err
    standing = {one["sink"]: one for one in cli("events", "sinks", "--json").json}
    assert {name: (one["type"], one["waiting"], one["error"]) for name, one in standing.items()} == {
        "hook": ("webhook", 0, None),
        "bus": ("nats", 0, None),
    }
    assert {one["check"]: one["state"] for one in cli("doctor", "--json").json}["sinks"] == "ok"


def test_a_failure_is_told_with_its_error(cli: Cli, hook: Hook) -> None:
    settings(cli, hook=hook, more=", types: execution.failed")
    assert cli("run", "bank_id=3", "quarter=Q1").status == 1
    (event,) = posted(hook)
    assert event["type"] == "execution.failed"
    data = event["data"]
    assert (data["state"], data["error_class"], data["error"], data["failed_step"]) == (
        "failed", "data", "no [transcript] data found", "write",
    )  # fmt: skip
    assert "no [transcript] data found" in cli("events", "list", "--type", "execution.failed").out


def test_nats_down_and_up_in_mid_run_loses_nothing_and_slows_nothing(
    cli: Cli, hook: Hook, nats: Nats, database_url: str
) -> None:
    settings(cli, hook=hook, nats=nats)
    cli.set("TEST_SECONDS", "0.3")
    cli.set("TEST_MENDED", "yes")
    began = time.monotonic()
    working = cli.process("run", "--lanes", "1")
    until(lambda: len(posted(hook)) >= 2)  # the first run is at work
    nats.stop(signal.SIGKILL)
    out, err = working.communicate(timeout=60)
    took = time.monotonic() - began
    assert working.returncode == 0, (out, err)
    assert took < 6 * 1.2 + 15
    assert [*of_runs(posted(hook)).values()] == [RUN] * 6  # one sink's outage is not another's
    ((waiting, error),) = ask(database_url, "select waiting, error from penstock.v1_event_readers where name = 'bus'")
    assert waiting > 0
    assert error.startswith("NATS:")
    doctor = {check["check"]: check for check in cli("doctor", "--json").json}
    assert doctor["sinks"]["state"] == "warning"
    for text in (out, err, error, cli("events", "sinks").out, doctor["sinks"]["says"]):
        assert TOKEN not in text
        assert SECRET not in text

    nats.start()
    assert cli("events", "send").out.endswith("sent, nothing waits.\n")
    found = stored(nats)
    assert len({event["id"] for event in found}) == len(found) == 24
    assert [*of_runs(found).values()] == [RUN] * 6
    assert [event["id"] for event in found] == [event["id"] for event in posted(hook)]


def test_a_webhook_that_says_500_for_a_while_gets_all_of_it(cli: Cli, hook: Hook) -> None:
    settings(cli, hook=hook)
    cli.set("TEST_SECONDS", "0.2")
    cli.set("TEST_MENDED", "yes")
    hook.status, hook.says = 500, b"upstream is gone"
    working = cli.process("run", "--lanes", "2")
    until(lambda: hook.refused >= 2)  # it was tried, and tried again
    hook.status = 200
    _, err = working.communicate(timeout=60)
    assert working.returncode == 0
    assert "answered 500" in err
    assert "upstream is gone" in err
    assert SECRET not in err
    cli("events", "send")
    found = posted(hook)
    assert len({event["id"] for event in found}) == len(found) == 24
    assert [*of_runs(found).values()] == [RUN] * 6


def test_a_process_killed_between_sending_and_noting_it_is_followed_by_the_same_again(
    cli: Cli, hook: Hook, database_url: str
) -> None:
    answer = threading.Event()
    came = threading.Event()

    class Holding(list[Any]):
        """The first request is kept, and its answer held back."""

        def append(self, one: Any) -> None:
            super().append(one)
            came.set()
            answer.wait(60)

    hook.posts = Holding()
    settings(cli, hook=hook)
    dying = cli.process("run", "bank_id=1", "quarter=Q1")
    assert came.wait(30)
    until(lambda: ask(database_url, "select state from penstock.runs") == [("completed",)])
    dying.send_signal(signal.SIGKILL)
    dying.communicate(timeout=30)
    answer.set()
    before = posted(hook)
    assert before
    ask(database_url, "update penstock.event_readers set lease_until = now()")  # half a minute later
    assert cli("events", "send").status == 0
    again = posted(hook)[len(before) :]
    assert again[: len(before)] == before, "the same events, to the letter"
    assert [*of_runs(again).values()] == [RUN]


def test_two_processes_that_share_the_work_send_everything_once_and_in_order(cli: Cli, hook: Hook, nats: Nats) -> None:
    settings(cli, hook=hook, nats=nats)
    cli.set("TEST_SECONDS", "0.1")
    cli.set("TEST_MENDED", "yes")
    assert cli("plan").status == 0
    both = [cli.process("run", "--lanes", "1"), cli.process("worker", "--lanes", "1", "--until-done")]
    for one in both:
        _, err = one.communicate(timeout=90)
        assert one.returncode == 0, err
    cli("events", "send")
    for found in (posted(hook), stored(nats)):
        assert len({event["id"] for event in found}) == len(found) == 24
        assert [*of_runs(found).values()] == [RUN] * 6
        assert [event["sequence"] for event in found] == sorted(event["sequence"] for event in found)


def test_a_sink_that_was_taken_out_of_the_settings_is_dropped(cli: Cli, hook: Hook) -> None:
    settings(cli, hook=hook)
    hook.status = 503
    assert cli("run", "bank_id=1", "quarter=Q1").status == 0
    told = cli("events", "send")
    assert (told.status, told.out) == (1, "0 events sent, 4 wait for hook: penstock events sinks says why.\n")
    cli.write("penstock.yaml", "")
    assert "(not set here)" in cli("events", "sinks").out
    assert cli("events", "drop", "hook").out == "4 events for hook forgotten.\n"
    assert cli("events", "drop", "hook").status == 2
    assert "no block events:" in cli("events", "send").err


def test_without_sinks_nothing_is_written(cli: Cli, database_url: str) -> None:
    assert cli("run", "bank_id=1").status == 0
    assert ask(database_url, "select count(*) from penstock.outbox") == [(0,)]
    assert ask(database_url, "select count(*) from penstock.events") == [(0,)]


def test_a_missing_secret_is_said_and_stops_no_run(cli: Cli, hook: Hook) -> None:
    settings(cli, hook=hook)
    cli.patch.delenv("HOOK_SECRET")
    assert cli("run", "bank_id=1").status == 0
    (one,) = cli("events", "sinks", "--json").json
    assert one["error"] == "events: sink hook: url: the environment has no HOOK_SECRET."
    assert one["waiting"] == 8


def test_tail_prints_what_happens(cli: Cli, hook: Hook) -> None:
    settings(cli, hook=hook)
    watching = cli.process("events", "tail", "--json", "--after", "0")
    try:
        assert cli("run", "bank_id=1", "quarter=Q1").status == 0
        assert watching.stdout is not None
        found = [json.loads(watching.stdout.readline()) for _ in range(4)]
        assert [event["type"] for event in found] == RUN
        assert found == posted(hook)
    finally:
        watching.send_signal(signal.SIGINT)
        watching.communicate(timeout=30)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("events: yes", "line 1: events is a mapping with sinks:, this is a bool."),
        ("events:\n  sink: {}", "line 2: events.sink is not known; did you mean sinks?"),
        ("events:\n  sinks: {}", "line 2: events.sinks is a mapping of a name to a sink"),
        ("events:\n  sinks:\n    'a b': {type: nats}", "line 3: events.sinks.a b needs a name"),
        ("events:\n  sinks:\n    a: nats", "line 3: events.sinks.a is a mapping with type:"),
        ("events:\n  sinks:\n    a:\n      type: kafak", "webhook, openlineage; did you mean kafka?"),
        ("events:\n  sinks:\n    a:\n      type: nats",
         "line 3: events.sinks.a needs servers: for a sink of type nats."),
        ("events:\n  sinks:\n    a:\n      type: webhook\n      url: https://h\n      secrets: hunter2hunter2",
         "line 6: events.sinks.a.secrets is not known; did you mean secret?"),
        ("events:\n  sinks:\n    a:\n      type: webhook\n      url: hunter2://h\n      secret: x",
         "line 5: events.sinks.a.url is an address that begins with https://"),
        ("events:\n  sinks:\n    a:\n      type: webhook\n      url: https://h\n      secret: 7",
         "line 6: events.sinks.a.secret is text"),
        ("events:\n  sinks:\n    a:\n      type: webhook\n      url: https://h\n      secret: x\n      mode: bach",
         "line 7: events.sinks.a.mode is one of batch, structured; did you mean batch?"),
        ("events:\n  sinks:\n    a:\n      type: webhook\n      url: https://h\n      secret: x\n      timeout: 60",
         "line 7: events.sinks.a.timeout is a number of seconds, more than 0 and at most 20; this is 60."),
        ("events:\n  sinks:\n    a:\n      type: nats\n      servers: nats://h\n      keep_days: 0.5",
         "line 6: events.sinks.a.keep_days is a whole number from 1 on; this is 0.5."),
        ("events:\n  sinks:\n    a:\n      type: kafka\n      brokers: []",
         "line 5: events.sinks.a.brokers is an address"),
        ("events:\n  sinks:\n    a:\n      type: postgres\n      types: [execution.complete]",
         "'execution.complete' is none; did you mean execution.completed?"),
        ("events:\n  sinks:\n    a:\n      type: postgres\n      types: []", "line 5: events.sinks.a.types is empty"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_line(cli: Cli, body: str, says: str) -> None:
    cli.write("penstock.yaml", body)
    told = cli("events", "sinks")
    assert (told.status, told.out) == (2, "")
    assert says in told.err
    assert "hunter2hunter2" not in told.err
    assert len(told.err.splitlines()) == 1


def test_sinks_are_in_no_shown_setting(cli: Cli, hook: Hook, tmp_path: Path) -> None:
    settings(cli, hook=hook)
    shown = cli("config", "show")
    assert shown.status == 0
    assert SECRET not in shown.out
