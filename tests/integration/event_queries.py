"""What readers of the log of events may read in the ledger that million_runs.sql makes; see test_query_plans.py."""

from __future__ import annotations

from typing import Any

BUS: dict[str, Any] = {"app": "big", "reader": "bus", "owner": "00000000-0000-0000-0000-000000000001"}
HOT: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "events.register": [(0, {"app": "big", "names": ["bus", "new"]})],
    "events.hurry": [(0, {"app": "big", "names": ["bus"]})],
    "events.take": [  # 500 of the outbox are found, deleted, looked up with their runs and put into the log
        (500 * 10 + 200, {**BUS, "types": None, "lease": 30.0, "limit": 200}),
        (500 * 10 + 1000, {**BUS, "types": ["execution.failed"], "lease": 30.0, "limit": 200}),
        (500 * 10 + 200, {**BUS, "reader": "hook", "types": None, "lease": 30.0, "limit": 200}),
        (1, {**BUS, "app": "small", "types": None, "lease": 30.0, "limit": 200}),
    ],
    "events.renew": [(0, {**BUS, "lease": 30.0})],
    "events.told": [(0, {**BUS, "through": 10})],
    "events.refused": [(0, {**BUS, "error": "e", "wait": 1.0, "through": 0})],
    "events.release": [(0, BUS)],
    "events.sequence": [(1000 * 10, {"app": "big"}), (1, {"app": "small"})],
    "events.last": [(1, {"app": "big"})],
    "events.logged": [
        (50, {"app": "big", "after": 1_000, "types": None, "limit": 50}),
        (200, {"app": "big", "after": 1_000, "types": ["layer.completed"], "limit": 50}),
    ],
    "events.logged_of_run": [(8, {"app": "big", "after": 0, "types": None, "limit": 50, "run": 700_000})],
}
COLD: dict[str, tuple[str, set[str], dict[str, Any] | None]] = {
    "notices.collect": (
        "moves 500 events of the outbox, and takes all ends of runs that are new to it, once",
        set(),
        {"app": "big", "targets": ["mail"], "ends": ["failed"]},
    ),
    "events.readers": ("counts what is after each place, when somebody asks", set(), {"app": "big"}),
    "events.drop": ("counts what is after its place, when somebody says so", set(), {"app": "big", "reader": "hook"}),
}
