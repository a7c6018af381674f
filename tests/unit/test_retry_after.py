"""When a server says to come back, in each form that headers have, whichever library read them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from penstock.engines.executor.classify import classify
from penstock.model.attempt import Instant
from penstock.model.retry_after import retry_after

AT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DATE = "Wed, 02 Jan 2030 03:04:05 GMT"


@pytest.mark.parametrize(
    ("headers", "again"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"Retry-After": 7}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"Retry-After": DATE}, AT),
        ({"retry-after": "Wed, 02 Jan 2030 03:04:05 -0000"}, AT),
        ({"retry-after": "Wed, 02 Jan 2030 04:04:05 +0100"}, AT),
    ],
)
def test_a_time_to_come_back_is_read(headers: dict[str, object], again: float | datetime) -> None:
    assert retry_after(headers) == again


@pytest.mark.parametrize("said", ["", "soon", "-3", "nan", "inf", "Wed, 99 Jan 2030 03:04:05 GMT"])
def test_what_is_no_time_says_nothing(said: str) -> None:
    assert retry_after({"Retry-After": said}) is None


def test_no_header_says_nothing() -> None:
    assert retry_after({}) is None


class Refused(Exception):  # noqa: N818 - what a library of someone else's may call it
    """An error with the answer it is about, as those of httpx, requests and openai are."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__("refused")
        self.response = SimpleNamespace(status_code=status, headers=headers)


@pytest.mark.parametrize(
    ("headers", "not_before"),
    [
        ({"Retry-After": "7"}, 1_007.0),
        ({"Retry-After": DATE}, AT.timestamp()),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
def test_a_foreign_error_waits_for_what_its_answer_says(headers: dict[str, str], not_before: float | None) -> None:
    failure = classify(Refused(429, headers), Instant(1_000.0), {})
    assert (failure.error_class, failure.not_before) == ("rate_limit", not_before)
    assert classify(Refused(500, headers), Instant(1_000.0), {}).not_before is None


def test_a_503_that_names_a_time_is_a_pause_and_one_that_does_not_is_a_fault() -> None:
    paused = classify(Refused(503, {"Retry-After": "7"}), Instant(1_000.0), {})
    assert (paused.error_class, paused.not_before) == ("rate_limit", 1_007.0)
    assert classify(Refused(503, {}), Instant(1_000.0), {}).error_class == "network"
    assert classify(Refused(403, {"Retry-After": "7"}), Instant(1_000.0), {}).error_class == "rate_limit"
    assert classify(Refused(403, {}), Instant(1_000.0), {}).error_class == "auth"
