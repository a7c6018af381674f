"""What is taken out of text, what is left in it, and what that costs."""

from __future__ import annotations

import time

import httpx2
import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

from penstock.data.api.secrets import learn
from penstock.model.notifying import without_secrets
from penstock.model.redaction import (
    PASSING,
    Redactor,
    learn_environment,
    learn_secrets,
    learn_url,
    masked,
    redact,
    redacted,
)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("postgresql://me:hunter2@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("at amqp://me:a@b:c@mq, twice", "at amqp://me:***@mq, twice"),
        ("https://ghp_abc@github.com/x.git", "https://***@github.com/x.git"),
        ("'https://api.test/q?apikey=abc&symbol=RY'", "'https://api.test/q?apikey=***&symbol=RY'"),
        ("?symbol=RY&access_token=abc#top", "?symbol=RY&access_token=***#top"),
        ("host=db user=me password=hunter2 dbname=x", "host=db user=me password=*** dbname=x"),
        (r"password = 'it\'s me' port=1", "password = *** port=1"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': 'Bearer ***'}"),
        ("authorization: dXNlcjpwYXNz", "authorization: ***"),
        ("sent bearer abcdefghijklmnop", "sent bearer ***"),
    ],
)
def test_secrets_are_told_by_their_place(text: str, safe: str) -> None:
    assert Redactor()(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "https://api.test:8080/path?symbol=RY",
        "postgresql://postgres@/penstock?host=/tmp/x&port=5432",
        "a@b.example wrote: the key=value words",
        "Basic understanding of bearer bonds",
        "12:30 took 3 s: 4 of 5",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor()(text) == text


def test_what_was_learnt_is_taken_out_in_every_form() -> None:
    redactor = Redactor()
    secret = "p/ä 'q\"\\w\nsecond line"
    forms = [secret, repr(secret), "p%2F%C3%A4%20%27q%22%5Cw%0Asecond%20line", "p/ä 'q\"\\w second line"]
    assert all(redactor(form) == form for form in forms), "nobody knows it yet"
    redactor.learn(secret)
    assert [redactor(f"<{form}>") for form in forms] == ["<***>", redactor(f"<{secret!r}>"), "<***>", "<***>"]
    assert "second" not in redactor(repr(secret))


def test_short_secrets_are_words_and_shorter_ones_are_left() -> None:
    redactor = Redactor()
    redactor.learn("abc", "rain", "a-long-secret")
    assert redactor("abc rain training xa-long-secretx") == "abc *** training x***x"
    redactor = Redactor(shortest=1, distinct=1)
    redactor.learn("abc", "rain")
    assert redactor("xabcx training") == "x***x t***ing"


@pytest.mark.parametrize(
    ("address", "said", "safe"),
    [
        ("mailto://joe:pw@host.org", "535 xpwx of joe at host.org refused", "535 x***x of joe at host.org refused"),
        ("mailto://joe:s3cr%20t@h", "'s3cr t', sent as s3cr%20t", "'***', sent as ***"),
        ("slack://TokenA12/B1234/xyzabc/#all", "POST /B1234/xyzabcd: 404", "POST /B1234/***d: 404"),
        ("json://host/?key=aTokenOfUse", "no aTokenOfUse at json://host/?key=aTokenOfUse", "no *** at ***"),
    ],
)
def test_an_address_leaves_no_part_of_itself(address: str, said: str, safe: str) -> None:
    assert without_secrets(said, address) == safe
    assert Redactor()(said) != safe, "it takes the address to know"
    assert redact(said) != safe, "what is learnt of an address is not kept for other texts"


def test_values_in_records_are_taken_apart() -> None:
    redact.learn("zebra-crossing-1")
    value = {"a": ["zebra-crossing-1", 3, None, True], "zebra-crossing-1": ("x", {"b": "?token=1"})}
    assert redacted(value) == {"a": ["***", 3, None, True], "***": ["x", {"b": "?token=***"}]}


class Inner(BaseModel):
    key: SecretBytes


class Outer(BaseModel):
    one: SecretStr
    many: list[Inner]
    plain: str


def test_settings_variables_and_urls_teach() -> None:
    text = "nested-one-77 bytes-two-77 env-three-77 url-four-77 not-hidden-77 me.77"
    assert redact(text) == text
    learn_secrets(Outer(one=SecretStr("nested-one-77"), many=[Inner(key=SecretBytes(b"bytes-two-77"))], plain="me.77"))
    learn_environment({"SHOP_API_KEY": "env-three-77", "SHOP_NAME": "not-hidden-77", "AWS_TOKEN": "/run/secrets/x"})
    learn_url("postgresql://me.77:url%2Dfour%2D77@db/x")
    learn_url("postgresql://me.77:me.77@db/x")
    assert redact(text) == "*** *** *** *** not-hidden-77 me.77", "a password that is the user's name hides no name"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pa/ss@db/x", "postgresql://me:***@db/x"),
        ("postgresql://me:p@ss?w@db:1/x?a=1", "postgresql://me:***@db:1/x?a=1"),
        ("postgresql:///x?host=/s&password=hunter2&port=1", "postgresql:///x?host=/s&password=***&port=1"),
        ("host=db password=hunter2", "host=db password=***"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "text",
    ["a" * 500_000, "a://" * 100_000, "a://b:" * 80_000, "password" + " " * 300_000, "authorization:" * 40_000],
    ids=["letters", "schemes", "colons", "blanks", "headers"],
)
def test_no_text_makes_it_slow(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2


def test_of_what_goes_with_requests_the_last_are_known() -> None:
    """A service asks for years, and each of its tokens would cost time for every text after it."""
    redactor = Redactor()
    redactor.learn("stays-for-ever-1234")
    redactor.learn_passing("first-of-them-0000", "used-all-the-time-11")
    for number in range(PASSING):
        redactor.learn_passing(f"token-of-the-hour-{number:06}", "used-all-the-time-11")
    last = f"token-of-the-hour-{PASSING - 1:06}"
    assert redactor(f"stays-for-ever-1234 used-all-the-time-11 {last}") == "*** *** ***"
    assert redactor("first-of-them-0000") == "first-of-them-0000"
    assert len(redactor.known) == PASSING + 1


def test_a_signed_url_is_known_by_its_place_and_not_learnt() -> None:
    told = "GET https://h/f?X-Goog-Signature=ab12cd34ef&X-Goog-Credential=me%40x%2F2024&X-Amz-Signature=77aa88bb99&n=1"
    masked = "GET https://h/f?X-Goog-Signature=***&X-Goog-Credential=***&X-Amz-Signature=***&n=1"
    assert Redactor()(told) == masked
    known = set(redact.known)
    learn(httpx2.Request("GET", told.removeprefix("GET ")))
    assert set(redact.known) == known
    learn(httpx2.Request("GET", "https://h/f?api_key=0123456789abcdef"))
    assert set(redact.known) - known == {"0123456789abcdef"}
