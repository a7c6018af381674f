"""Penstock: say what should exist; it works out the gap, prices it, fills it and records it.

The public names, loaded when they are first used, so that importing penstock costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.app import App
    from penstock.definition.context import Context, Transaction
    from penstock.definition.pipeline import Pipeline
    from penstock.definition.step import Step
    from penstock.model.errors import (
        AuthFailed,
        DefinitionError,
        InvalidData,
        NetworkError,
        NoData,
        PenstockError,
        PlanStale,
        QuotaSpent,
        RateLimited,
        Rejected,
        SettingError,
        Skip,
        StepError,
    )
    from penstock.model.quota import Quota
    from penstock.model.results import Event, Gap, Outcome, Plan, Run, Summary, Why
    from penstock.model.states import ErrorClass, RunState
    from penstock.model.values import DateGaps, Day, Retry, SqlGaps
    from penstock.operations.client import Client

_HOME = {
    "app": ("App",),
    "definition.context": ("Context", "Transaction"),
    "definition.pipeline": ("Pipeline",),
    "definition.step": ("Step",),
    "model.errors": (
        "AuthFailed",
        "DefinitionError",
        "InvalidData",
        "NetworkError",
        "NoData",
        "PenstockError",
        "PlanStale",
        "QuotaSpent",
        "RateLimited",
        "Rejected",
        "SettingError",
        "Skip",
        "StepError",
    ),
    "model.quota": ("Quota",),
    "model.results": ("Event", "Gap", "Outcome", "Plan", "Run", "Summary", "Why"),
    "model.states": ("ErrorClass", "RunState"),
    "model.values": ("DateGaps", "Day", "Retry", "SqlGaps"),
    "operations.client": ("Client",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "App",
    "AuthFailed",
    "Client",
    "Context",
    "DateGaps",
    "Day",
    "DefinitionError",
    "ErrorClass",
    "Event",
    "Gap",
    "InvalidData",
    "NetworkError",
    "NoData",
    "Outcome",
    "PenstockError",
    "Pipeline",
    "Plan",
    "PlanStale",
    "Quota",
    "QuotaSpent",
    "RateLimited",
    "Rejected",
    "Retry",
    "Run",
    "RunState",
    "SettingError",
    "Skip",
    "SqlGaps",
    "Step",
    "StepError",
    "Summary",
    "Transaction",
    "Why",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        msg = f"module 'penstock' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"penstock.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
