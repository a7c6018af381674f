"""Several apps may share a ledger: a number may be another app's, which does not exist for this one."""

from __future__ import annotations

from penstock.model.errors import NotFound
from penstock.ports.records import StoredPlan, StoredRun


def own_plan(stored: StoredPlan, app: str) -> StoredPlan:
    """The plan, if it is this app's.

    Raises:
        NotFound: It is another's.
    """
    if stored.app != app:
        raise NotFound(f"There is no plan {stored.id} of {app}.")
    return stored


def own_run(stored: StoredRun, app: str) -> StoredRun:
    """The run, if it is this app's.

    Raises:
        NotFound: It is another's.
    """
    if stored.app != app:
        raise NotFound(f"There is no run {stored.id} of {app}; 'penstock runs list' shows the ids there are.")
    return stored
