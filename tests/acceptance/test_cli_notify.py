"""People are told of failures: by mail and chat on real sockets, in one message, and nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import Cli
from tests.integration.notice_servers import Chat, Mail, free_port

pytest.importorskip("apprise", reason="needs the extra `notify`")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS"),  # the server is on loopback
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated"),  # Apprise imports it where Python still has it
]

PASSWORD = "s3cret/mail+word"
TOKEN = "abcdefghij0123456789klmnop"
MANY = """
from typing import NamedTuple
import penstock as ps

class Item(NamedTuple):
    n: int

items = ps.Pipeline("items", Item, gaps=ps.SqlGaps("select n from generate_series(1, 300) n"))

@items.step
async def make(item: Item) -> None:
    raise ps.InvalidData(f"item {item.n} is [broken] & <b>bad</b>")

app = ps.App("many", [items])
"""


@pytest.fixture
def mail() -> Iterator[Mail]:
    with Mail() as server:
        yield server


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        yield server


def settings(cli: Cli, *, mail: int | None = None, chat: int | None = None, more: str = "") -> None:
    """A penstock.yaml that tells these; the mail server's password is in the environment only."""
    cli.set("SMTP_PASSWORD", PASSWORD)
    cli.set("CHAT_TOKEN", TOKEN)
    lines = ["notify:", "  targets:"]
    if mail is not None:
        address = f"mailto://penstock:${{SMTP_PASSWORD}}@127.0.0.1:{mail}"
        lines.append(f"    ops: {address}?mode=insecure&smtp=127.0.0.1&from=penstock@example.com&to=ops@example.com")
    if chat is not None:
        lines.append(f"    chat: mmost://127.0.0.1:{chat}/${{CHAT_TOKEN}}")
    cli.write("penstock.yaml", "\n".join([*lines, more]))


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        for secret in (PASSWORD, TOKEN, "s3cret", "s3cret%2Fmail%2Bword"):
            assert secret not in text


def test_a_failure_is_told_by_mail_and_chat_when_the_run_is_over(
    cli: Cli, mail: Mail, chat: Chat, database_url: str
) -> None:
    settings(cli, mail=mail.port, chat=chat.port)
    told = cli("run", "bank_id=3", "quarter=Q1")
    assert told.status == 1
    ((subject, text),) = mail.texts()
    assert subject == "[reports] reports 3 B3 Q1 failed"
    assert "- run 1, reports 3 B3 Q1: failed in write (data)" in text
    assert "no [transcript] data found" in text
    assert "penstock runs show 1" in text
    ((path, post),) = chat.posts
    assert path == f"/hooks/{TOKEN}"
    assert "no [transcript] data found" in post["text"]
    assert ask(database_url, "select * from penstock.outbox") == []
    stand = ask(database_url, "select target, waiting, tries, sent_at is not null from penstock.v1_notices order by 1")
    assert stand == [("chat", 0, 0, True), ("ops", 0, 0, True)]
    assert_no_secret(told.out, told.err)


def test_three_hundred_failures_are_one_message(cli: Cli, mail: Mail) -> None:
    cli.write("many.py", MANY)
    cli.set("PENSTOCK_APP", "many.py")
    settings(cli, mail=mail.port)
    assert cli("run").status == 1
    ((subject, text),) = mail.texts()
    assert subject == "[many] 300 runs failed"
    assert "300 of items failed: data" in text
    assert "and 290 more" in text
    assert "is [broken] & <b>bad</b>" in text


def test_what_succeeds_or_is_cancelled_or_has_a_further_attempt_is_not_told(
    cli: Cli, chat: Chat, database_url: str
) -> None:
    settings(cli, chat=chat.port)
    assert cli("run", "bank_id=1").status == 0
    assert cli("run", "bank_id=2").status == 0  # fails at first, and completes
    assert chat.posts == []
    assert ask(database_url, "select count(*) from penstock.outbox") == [(0,)]
    assert cli("notify", "list", "--json").json["targets"][0]["waiting"] == 0


FOLLOWED = """
from typing import NamedTuple
import penstock as ps

class Item(NamedTuple):
    n: int
    bank: str

items = ps.Pipeline(
    "items", Item, key=("n",), lane="bank", batch=2,
    gaps=ps.SqlGaps("select n, 'RY' as bank from generate_series(1, 2) n"),
    retry={"network": ps.Retry(attempts=2, first=0, jitter=False)},
)

@items.step
async def make(ctx: ps.Context[Item], batch: list[Item]) -> None:
    for item in batch:
        if item.n == 1:
            ctx.fail(item, ps.NetworkError("down"))

app = ps.App("followed", [items])
"""


def test_a_unit_that_a_further_run_carries_is_told_when_that_one_fails(cli: Cli, chat: Chat, database_url: str) -> None:
    cli.write("followed.py", FOLLOWED)
    cli.set("PENSTOCK_APP", "followed.py")
    settings(cli, chat=chat.port)
    cli("run")
    runs = ask(database_url, "select run_id, state, tries, origin_run_id from penstock.runs order by 1")
    assert [(state, tries) for _, state, tries, _ in runs] == [("partial", 0), ("failed", 1)]
    ((_, post),) = chat.posts
    assert f"run {runs[1][0]}" in post["text"]
    assert f"run {runs[0][0]}," not in post["text"]


def test_a_dead_mail_server_slows_no_run_and_another_process_tells_later(
    cli: Cli, chat: Chat, database_url: str
) -> None:
    port = free_port()
    settings(cli, mail=port, chat=chat.port)
    began = time.monotonic()
    told = cli("run", "bank_id=3", "quarter=Q1")
    assert time.monotonic() - began < 15
    assert told.status == 1
    assert len(chat.posts) == 1  # one target's failure is not another's
    ((waiting, tries, error),) = ask(
        database_url, "select waiting, tries, error from penstock.v1_notices where target = 'ops'"
    )
    assert (waiting, tries) == (1, 1)
    assert error
    assert_no_secret(told.out, told.err, error, cli("notify", "list").out, cli("config", "show").out)
    doctor = {check["check"]: check for check in cli("doctor", "--json").json}
    assert doctor["notices"]["state"] == "warning"
    assert "ops" in doctor["notices"]["says"]

    began = time.monotonic()
    cli("run", "bank_id=3", "quarter=Q2")  # it is not tried again before its time, so this costs nothing
    assert time.monotonic() - began < 5
    assert ask(database_url, "select waiting, tries from penstock.v1_notices where target = 'ops'") == [(2, 1)]

    with Mail(port) as mail:
        ask(database_url, "update penstock.notice_targets set next_at = now()")  # half a minute later
        told = cli("notify", "send")
        assert (told.status, told.out) == (0, "2 notices told, nothing waits.\n")
        ((subject, _),) = mail.texts()
        assert subject == "[reports] 2 runs failed"
    assert ask(database_url, "select tries, error from penstock.v1_notices where target = 'ops'") == [(0, None)]
    assert len(chat.posts) == 2


def test_a_refused_message_is_kept_with_the_reason(cli: Cli, mail: Mail, database_url: str) -> None:
    mail.refuse = "452 the disk is full"
    settings(cli, mail=mail.port)
    cli("run", "bank_id=3", "quarter=Q1")
    assert "the disk is full" in cli("notify", "list").out
    told = cli("notify", "drop", "ops")
    assert told.out == "1 notice for ops forgotten.\n"
    assert cli("notify", "drop", "ops").status == 2


def test_a_chat_that_hangs_holds_no_process_up(cli: Cli, chat: Chat, database_url: str) -> None:
    chat.hold = threading.Event()
    settings(cli, chat=chat.port)
    began = time.monotonic()
    done = cli.shell("run", "bank_id=3", "quarter=Q1")
    assert time.monotonic() - began < 30
    assert done.status == 1
    assert ask(database_url, "select waiting from penstock.v1_notices") == [(1,)]


def test_a_missing_secret_is_said_and_stops_nothing(cli: Cli, chat: Chat) -> None:
    settings(cli, chat=chat.port)
    cli.patch.delenv("CHAT_TOKEN")
    assert cli("run", "bank_id=1").status == 0
    assert cli("run", "bank_id=3").status == 1
    told = cli("notify", "test")
    assert (told.status, told.out) == (1, "chat: notify: target chat: the environment has no CHAT_TOKEN.\n")


def test_a_test_message_says_what_works_and_what_does_not(cli: Cli, mail: Mail, chat: Chat) -> None:
    settings(cli, mail=mail.port, chat=chat.port)
    assert cli("notify", "test").out == "ops: delivered\nchat: delivered\n"
    assert mail.texts()[0][0] == "[reports] test"
    chat.status = 500
    told = cli("notify", "test", "--json")
    assert told.status == 1
    assert [(one["target"], one["delivered"]) for one in told.json] == [("ops", True), ("chat", False)]
    cli.set("SMTP_PASSWORD", "wr0ng-password")
    told = cli("notify", "test", "ops")
    assert told.status == 1
    assert "wr0ng-password" not in told.out + told.err
    assert "did you mean ops?" in cli("notify", "test", "opps").err


def test_no_secret_is_logged_at_any_level(cli: Cli, mail: Mail, chat: Chat) -> None:
    settings(cli, mail=mail.port, chat=chat.port)
    cli.set("PENSTOCK_LOG_LEVEL", "DEBUG")
    chat.status = 500
    for words in (["notify", "test"], ["run", "bank_id=3", "quarter=Q1"], ["--traceback", "notify", "list"]):
        told = cli.shell(*words)
        assert_no_secret(told.out, told.err)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("notify: yes", "is a mapping with targets:"),
        ("notify: {targets: {}}", "targets: is a mapping"),
        ("notify: {target: {a: 'json://x'}}", "did you mean targets?"),
        ("notify: {targets: {a: hunter2hunter2}}", "the target a is no address"),
        ("notify: {targets: {'a b': 'json://x'}}", "needs a name"),
        (
            "notify: {targets: {a: 'json://x'}, ends: [broken]}",
            "ends: is a list of completed, partial, failed, cancelled",
        ),
        ("notify: {targets: {a: 'json://x'}, collect: soon}", "collect: is a number of seconds"),
        ("notify: {targets: {a: 'json://x'}, every: -1}", "every: is a number of seconds"),
    ],
)
def test_a_wrong_setting_is_named(cli: Cli, body: str, says: str) -> None:
    cli.write("penstock.yaml", body)
    told = cli("notify", "list")
    assert (told.status, told.out) == (2, "")
    assert says in told.err
    assert "hunter2" not in told.err
    assert len(told.err.splitlines()) == 1


def test_without_the_setting_nobody_is_told(cli: Cli, database_url: str) -> None:
    cli("run", "bank_id=3")
    assert ask(database_url, "select count(*) from penstock.notices") == [(0,)]
    assert ask(database_url, "select count(*) from penstock.outbox") == [(0,)]
    assert "no block notify:" in cli("notify", "test").err
