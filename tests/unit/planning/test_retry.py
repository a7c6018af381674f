from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model.shape import Policy
from penstock.model.states import ErrorClass
from penstock.planning.retry import DEFAULTS, LOSSES, ONCE, delay, policy_for


def plain(policy: Policy) -> list[float | None]:
    """The delays after the first, second, … failure of one class without jitter; None gives up."""
    bare = Policy(policy.attempts, policy.first, policy.limit, policy.factor, jitter=False)
    return [delay(bare, failures, "salt") for failures in range(1, policy.attempts + 1)]


@pytest.mark.parametrize(
    ("error_class", "delays"),
    [
        ("network", [1, 2, 4, 8, 16, None]),
        ("rate_limit", [5, 10, 20, None]),
        ("timeout", [1, 2, 4, None]),
        ("unknown", [5, 10, None]),
        ("quota", [None]),
        ("data", [None]),
        ("rejected", [None]),
        ("no_data", [None]),
        ("auth", [None]),
        ("lost", [None]),
        ("deadline", [None]),
    ],
)
def test_default_delays_of_each_class(error_class: ErrorClass, delays: list[float | None]) -> None:
    assert plain(policy_for(error_class, {})) == delays


def test_every_class_has_a_policy() -> None:
    for error_class in get_args(ErrorClass):
        assert policy_for(error_class, {}) == DEFAULTS.get(error_class, ONCE)


def test_unknown_with_more_attempts_goes_on_doubling_up_to_its_limit() -> None:
    patient = Policy(attempts=10, first=5, limit=300)
    assert plain(patient) == [5, 10, 20, 40, 80, 160, 300, 300, 300, None]


def test_own_policy_goes_before_the_default_and_only_for_its_class() -> None:
    own = Policy(attempts=2, first=7, limit=7)
    assert policy_for("network", {"network": own}) is own
    assert policy_for("unknown", {"network": own}) == DEFAULTS["unknown"]
    assert policy_for("data", {"data": own}) is own


def test_attempts_count_the_first() -> None:
    assert delay(Policy(attempts=1, first=1, limit=1), 1, "salt") is None
    assert delay(Policy(attempts=2, first=1, limit=1, jitter=False), 1, "salt") == 1
    assert delay(Policy(attempts=2, first=1, limit=1, jitter=False), 2, "salt") is None


def test_factor_of_one_waits_the_same_each_time() -> None:
    assert plain(Policy(attempts=4, first=3, limit=60, factor=1)) == [3, 3, 3, None]


@pytest.mark.parametrize("factor", [2.0, 10.0, 1e300])
def test_patience_without_end_waits_its_limit_and_does_not_overflow(factor: float) -> None:
    assert delay(Policy(attempts=10_000, first=1, limit=300, factor=factor, jitter=False), 9_999, "salt") == 300
    assert delay(Policy(attempts=10_000, first=0, limit=300, factor=factor, jitter=False), 9_999, "salt") == 0


@given(failures=st.integers(1, 8), salt=st.text())
def test_jitter_adds_at_most_a_tenth_and_is_the_same_for_the_same_salt(failures: int, salt: str) -> None:
    policy = Policy(attempts=9, first=1, limit=16)
    plainly = min(2.0 ** (failures - 1), 16.0)
    waited = delay(policy, failures, salt)
    assert waited is not None
    assert plainly <= waited <= plainly * 1.1
    assert delay(policy, failures, salt) == waited


def test_jitter_spreads_runs_that_failed_together() -> None:
    policy = Policy(attempts=2, first=10, limit=10)
    waits = {delay(policy, 1, f"{run}/load/1") for run in range(200)}
    assert len(waits) == 200
    known = sorted(wait for wait in waits if wait is not None)
    assert known[0] < 10.1
    assert known[-1] > 10.9


def test_jitter_is_the_same_in_every_process() -> None:
    """A replay on another machine waits the same time: the hash is not Python's own."""
    assert delay(Policy(attempts=2, first=10, limit=10), 1, "1/load/1") == pytest.approx(10.784104498801753)


def test_the_fifth_loss_in_a_row_is_the_last() -> None:
    assert LOSSES == 5
