"""The retry decision: a pure function of class, count and policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from penstock.model.shape import Policy
from penstock.model.states import ErrorClass

ONCE: Final = Policy(attempts=1, first=0, limit=0)
DEFAULTS: Final[Mapping[ErrorClass, Policy]] = {
    "network": Policy(attempts=6, first=1, limit=16),
    "rate_limit": Policy(attempts=4, first=5, limit=300),
    "timeout": Policy(attempts=4, first=1, limit=60),
    "unknown": Policy(attempts=3, first=5, limit=300),
}
"""What holds where a pipeline says nothing; the classes that are not named get one attempt."""
LOSSES: Final = 5
"""A step whose process died this often in a row is given up: its unit kills whoever takes it."""


def policy_for(error_class: ErrorClass, policies: Mapping[ErrorClass, Policy]) -> Policy:
    """The step's own policy for this class, else the default."""
    return policies.get(error_class) or DEFAULTS.get(error_class) or ONCE


def delay(policy: Policy, failures: int, salt: str) -> float | None:
    """Seconds to wait before the next attempt, or None to give up.

    Args:
        policy: The policy of the class that failed.
        failures: How often this class has failed in this step, this time included.
        salt: Run, step and attempt: the jitter is a hash of it, so that a replay waits the same time.
    """
    if failures >= policy.attempts:
        return None
    try:
        wait = min(policy.first * policy.factor ** (failures - 1), policy.limit)
    except OverflowError:  # a patience of thousands of attempts has long been at its limit
        wait = policy.limit if policy.first else 0.0
    if policy.jitter:
        digest = hashlib.blake2b(salt.encode(), digest_size=4).digest()
        wait *= 1 + int.from_bytes(digest, "big") / 2**32 / 10
    return wait
