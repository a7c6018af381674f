"""Every query of the ledger: how many rows it may fetch in a ledger of a million runs, or why it may fetch more."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.ledger.encoding import attempt_json, call_json, document, end_json, wait_json
from penstock.model.attempt import Instant, RunId
from penstock.ports.records import AttemptRecord, CallRecord, EndRecord, FollowUp, Hold, UnitEnd, WaitRecord
from tests.integration import access_queries, event_queries

# What million_runs.sql makes.
ENDED, RUNNING, WAITING, FIRST_SCHEDULED = 500_000, 900_001, 900_065, 950_000
MINE = 201
BATCH = "00000000-0000-0000-0000-000000000001"
HELD = [Hold(run=RunId(run), lane=run % 20_000 + 1, fence=1) for run in range(RUNNING, RUNNING + 64)]
SPACES = [1, 2, 3]


def ended(hold: Hold, *, keep: bool = True) -> EndRecord:
    return EndRecord(hold=hold, state="completed", units=(UnitEnd(no=0, verdict="completed"),), keep=keep)


def record(**given: str | int | None) -> dict[str, Any]:
    nothing: dict[str, Any] = {"attempts": None, "calls": None, "waits": None, "ends": None, "k": 0, "turn": 1}
    return {"process": MINE, "spaces": SPACES, **nothing, **given}


def prune(**given: Any) -> dict[str, Any]:
    """All that ended before tomorrow."""
    nothing: dict[str, Any] = {"pipeline": None, "live": [118], "keep_failed": False, "after": 0, "limit": 2_000}
    return {"before": datetime.now(UTC) + timedelta(days=1), "dry_run": False, **nothing, **given}


DONE = [AttemptRecord(hold=hold, seq=3, step="c", attempt=1, state="done", ended=3) for hold in HELD]
ATTEMPTS = document([attempt_json(attempt) for attempt in DONE])
CALLS = document([call_json(CallRecord(hold=hold, step="b", unit_no=0, state="done")) for hold in HELD])
FOLLOWED = EndRecord(
    hold=HELD[0],
    state="partial",
    units=(UnitEnd(no=0, verdict="failed"),),
    follow=FollowUp(units=(0,), until=Instant(2e9), tries=1),
)
WAITS = [
    WaitRecord(hold=hold, until=Instant(2e9), reason="backoff", keep_lane=bool(place % 2))
    for place, hold in enumerate(HELD)
]

ROLES = {"org": None, "instance": None, "instance_name": None}
APPLIED: dict[str, Any] = {"shape": 1, "triggered_by": "manual", "engine": "local", "copy_from": None}
LATER = datetime(2100, 1, 1, tzinfo=UTC)
SCHEDULES = f'[{{"pipeline": "p1", "cron": "0 6 * * *", "timezone": "UTC", "next_at": "{LATER.isoformat()}"}}]'
NOTHING_NAMED: dict[str, Any] = {
    "pipeline": None,
    "org": None,
    "triggered_by": None,
    "ids": None,
    "before": None,
    "limit": 20,
}
FOUND = '[{"type":"total_records","count":9,"severity":"info"},{"type":"gap","count":1,"severity":"error"}]'

MEASURED = document([attempt_json(replace(attempt, quality=FOUND)) for attempt in DONE])

# Query → how many rows of large tables it may fetch, and with which values. Several sets of values: several cases.
HOT: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "work.renew": [(0, {"process": MINE, "lease": 30.0})],
    "work.open_process": [
        (0, {"app": "big", "name": "local", "host": "here", "pid": 1, "lease": 30.0, "events": ["execution.started"]})
    ],
    "work.close_process": [(0, {"process": MINE})],
    "work.neighbours": [(0, {"host": "here", "process": MINE, "lease": 30.0})],
    "work.take_over": [(0, {"dead": []}), (64 * 8, {"dead": [MINE]})],
    "work.let_strays_go": [
        (64, {"process": MINE, "lanes": [h.lane for h in HELD], "fences": [1] * 64}),
        (64 * 4, {"process": MINE, "lanes": [], "fences": []}),
    ],
    "work.promote": [(100 * 16, {"spaces": SPACES})],
    "work.next_due": [(200, {"spaces": SPACES}), (200, {"spaces": [2]})],
    "work.record": [
        (24, record(k=1)),  # what is claimed has costs, which are reserved
        (64 * 16, record(k=64)),
        (64 * 12, record(attempts=ATTEMPTS)),
        (64 * 16, record(attempts=MEASURED)),
        (64 * 4, record(calls=CALLS)),
        (64 * 20, record(waits=document([wait_json(wait) for wait in WAITS]))),
        (64 * 52, record(attempts=ATTEMPTS, ends=document([end_json(ended(hold), "big") for hold in HELD]), k=64)),
        (64, record(ends=document([end_json(FOLLOWED, "big")]))),
    ],
    "work.record_step": [(8, {"process": MINE, "attempts": document([attempt_json(DONE[0])]), "calls": None})],
    "work.fate": [(0, {"xact": "3"})],
    "work.spaces": [(0, {"app": "big", "pipelines": ["p1", "p2"]})],
    "work.shape": [(0, {"shape": 1})],
    "work.plan_facts": [(0, {"plan": 1})],
    "work.attempts": [(3, {"run": RUNNING})],
    "work.calls": [(1, {"run": RUNNING})],
    "work.once": [(1, {"unit": 7, "version": "", "step": "a"})],
    "work.hold_process": [(0, {"process": MINE})],
    "work.keep_once": [
        (2, {"unit": 7, "version": "", "step": "a", "key": "k", "value": "2", **asdict(HELD[0])}),
    ],
    "work.cancelled": [(64, {"runs": [hold.run for hold in HELD]})],
    "work.ensure_quota": [
        (
            0,
            {
                "app": "big",
                "name": "usd",
                "amount": 50,
                "per": "day",
                "reserve": 0,
                "starts": "00:00:00",
                "timezone": "UTC",
            },
        )
    ],
    "work.spend": [(40, {"process": MINE, "step": "a", "quotas": [1, 2], "amounts": [1, 1], **asdict(HELD[0])})],
    "work.settle": [(16, {"draws": [1_000, 1_001], "actual": [1, 1]})],
    "work.living": [(0, {"app": "big"})],
    "work.insert_logs": [
        (0, {"logs": '[{"run": 1, "step": "a", "attempt": 1, "at": 1, "level": "info", "message": "m", "fields": {}}]'})
    ],
    "reading.steps": [(16, {"run": RUNNING})],
    "reading.unfinished": [(8, {"run": ENDED})],
    "reading.units": [
        (250, {"app": "big", "pipeline": "p1", "verdicts": None, "after": None, "limit": 50}),
        (250, {"app": "big", "pipeline": "p1", "verdicts": None, "after": 300_000, "limit": 50}),
        (50 * 40, {"app": "big", "pipeline": "p1", "verdicts": ["failed"], "after": None, "limit": 50}),
    ],
    "reading.quotas": [(3_000, {"app": "big"})],  # draws that their processes left open, and the present windows
    "reading.unit": [(3, {"app": "big", "pipeline": "p1", "key": '{"n":5}'})],
    "reading.logs": [(1, {"run": 900_000, "after": 0, "limit": 1000})],
    "plans.ensure_pipeline": [(0, {"app": "big", "space": "s1", "pipeline": "p1", **ROLES})],
    "plans.ensure_shape": [(0, {"pipeline": 1, "hash": "h", "body": "{}"})],
    "plans.insert_plan": [
        (
            0,
            {
                "pipeline": 1,
                "shape": 1,
                "definition": "d",
                "params": None,
                "forced": False,
                "triggered_by": "manual",
                "quotas": None,
                "of": None,
            },
        )
    ],
    "plans.store_summary": [(0, {"plan": 121, "summary": "{}"})],
    "plans.seconds_a_run": [(10_000, {"pipeline": 1})],  # it may come by the newest runs of other pipelines
    "plans.plan": [(0, {"plan": 121})],
    "plans.gaps": [(1000, {"plan": 121, "after": 20_000, "limit": 1000})],
    "plans.apply": [  # it may come by all that is live, however few units the plan has
        (100_000, {"plan": 122, **APPLIED, "parallel": None}),
        (100_000, {"plan": 122, **APPLIED, "parallel": 4}),
    ],
    "plans.discard": [(200, {"plan": 122})],
    "pruning.pipelines": [(0, {"pipeline": "p1"})],
    "pruning.runs": [  # a window of 2,000 runs: looked for, looked at, locked, deleted, with what hangs on them
        (2_000 * 6, prune()),
        (2_000 * 6, prune(after=400_000, pipeline=1)),
        (2_000 * 4, prune(dry_run=True)),
        (2_000 * 17, prune(after=850_000)),
        (2_000 * 10, prune(after=899_000)),  # half of them are live
    ],
    "pruning.plans": [(20_000, prune(live=[118, 119, 120])), (20_000, prune(live=[], pipeline=1))],
    "pruning.gaps": [(60_000, prune(limit=10_000)), (60_000, prune(dry_run=True))],
    "pruning.onces": [(2_000 * 8, prune()), (2_000 * 8, prune(after=50_000, dry_run=True))],
    "pruning.windows": [(2_000 * 8, prune()), (2_000 * 2, prune(dry_run=True))],
    "pruning.processes": [(200, prune())],
    "pruning.events": [(2_000 * 4, prune(events_older_than=timedelta(0)))],
    "control.pause_plan": [(0, {"plan": 118, "paused": True})],
    "control.pause_pipeline": [(0, {"app": "big", "pipeline": "p1", "paused": True})],
    "control.cancel": [(20, {"runs": [FIRST_SCHEDULED]}), (20, {"runs": [RUNNING]}), (20, {"runs": [WAITING]})],
    "control.forget": [(8, {"app": "big", "pipeline": "p1", "keys": ['{"n":5}']})],
    "control.notify": [(0, {"topic": "work"})],
    "overrides.overrides": [(0, {"app": "big"})],
    "overrides.set_override": [
        (0, {"app": "big", "pipeline": "", "name": "n", "value": "1", "note": None, "by": None}),
    ],
    "overrides.unset_override": [(0, {"app": "big", "pipeline": "", "name": "n"})],
    **event_queries.HOT,
    **access_queries.HOT,
    "notices.take_target": [
        (1, {"app": "big", "target": "mail", "lease": 90.0, "collect": 60.0, "whole": False}),
        (0, {"app": "big", "target": "gone", "lease": 90.0, "collect": 60.0, "whole": True}),
    ],
    "notices.batch_runs": [(10 * 8, {"batch": BATCH, "limit": 10})],
    "notices.refused": [(0, {"app": "big", "target": "mail", "error": "e", "wait": 30.0})],
    "notices.let_target_go": [(0, {"app": "big", "target": "mail"})],
    "notices.drop_target": [(0, {"app": "big", "target": "mail"})],
    "service.bounds": [(100, {"since": LATER, "until": datetime.now(UTC) - timedelta(days=5), "slack": 600})],
    "service.layers": [(50 * 12, {"runs": list(range(RUNNING - 50, RUNNING))})],
    "service.pipeline_of": [(0, {"app": "big", "public": BATCH})],
    "service.skip": [(110, {"plan": 122, "triggered_by": "api", "org": None, "instance": "feed 7"})],
    "service.first_run": [(1, {"plan": 7})],
    "service.last_run": [(300, {"app": "big"})],
    "service.revision": [(0, {})],
    "service.set_schedules": [(0, {"app": "big", "schedules": SCHEDULES})],
    "service.schedules": [(0, {"app": "big"})],
    "service.due": [(0, {"app": "big"})],
    "service.take_tick": [(0, {"app": "big", "pipeline": "p1", "seen": LATER, "lease": 300.0})],
    "service.ticked": [
        (
            0,
            {
                "app": "big",
                "pipeline": "p1",
                "cron": "* * * * *",
                "timezone": "UTC",
                "next_at": LATER,
                "plan": 1,
                "error": None,
            },
        )
    ],
    "service.take_done": [  # of plans that nobody has followed: what is live stands at a plan's end
        (80_000, {"app": "big", "pipelines": ["p1"], "lease": 300.0}),
        (0, {"app": "big", "pipelines": [], "lease": 300.0}),
    ],
    "service.followed": [(0, {"plans": [1, 2, 3]})],
    "watching.now": [(0, {})],
    "watching.pipelines": [(3 * (2_000 + 10_001), {})],
    "watching.queue": [(2 * 10_001, {})],
    "watching.lanes": [(500 * 8, {})],
    "watching.failures": [(3 * 1_000, {})],
    "watching.processes": [(200, {})],
    "watching.notices": [(10_001, {})],
    "watching.quotas": [(3_000, {})],  # as reading.quotas
}

# Queries that may read more: why, which large tables they may read whole, and with which values they are tried.
COLD: dict[str, tuple[str, set[str], dict[str, Any] | None]] = {
    "plans.listed_table": ("makes a table", set(), None),
    "plans.copy_listed": ("fills it", set(), None),
    "plans.admit": ("goes through the gaps of one plan, when it has costs", set(), {"plan": 121}),
    "overrides.wake_quota": (
        "goes through the runs that wait, when a quota's figure is changed",
        set(),
        {"app": "big"},
    ),
    "reading.runs": ("composed for each question: see test_lists_of_runs", set(), None),
    "service.executions": ("composed for each question: see test_lists_of_executions", set(), None),
    "service.of_pipelines": ("a part of it", set(), None),
    "service.of_runs": ("a part of it", set(), None),
    "service.plans": (
        "counts the runs of each plan of a page, when somebody looks at backfills",
        set(),
        {"app": "big", **NOTHING_NAMED},
    ),
    "service.quality": (
        "adds up what was found in a day",
        set(),
        {"app": "big", "org": None, "since": datetime.now(UTC) - timedelta(days=1, hours=4)},
    ),
    "service.holder": (
        "goes through what is live, when a trigger found nothing to do",
        {"active"},
        {"app": "big", "pipeline": "p1", "where": '{"n": 5}', "keys": None, "day": None, "first": None, "last": None},
    ),
    "reading.tally": ("counts the runs of one plan, once when it was carried out", set(), {"plan": 1}),
    "reading.followed_up": ("goes through the runs of one plan, once when it was carried out", set(), {"plan": 118}),
    "reading.health": ("counts what is live, when somebody asks", {"active", "lanes", "outbox"}, {"app": "big"}),
    "pruning.begin": (
        "finds the plans that are at work, once at the start of a prune",
        {"active", "runs"},
        {"older_than": timedelta(0)},
    ),
    **event_queries.COLD,
    **access_queries.COLD,
    "notices.mark_batch": (
        "marks all that waits for a target, once a message",
        {"notices"},
        {"app": "big", "target": "mail", "batch": BATCH},
    ),
    "notices.batch_counts": ("counts the runs of one message", {"notices"}, {"batch": BATCH}),
    "notices.told": (
        "forgets the runs of one message",
        {"notices"},
        {"batch": BATCH, "app": "big", "target": "mail", "every": 0.0},
    ),
    "notices.waiting": ("counts all that waits, when somebody asks", {"notices"}, {"app": "big"}),
    "notices.drop_notices": (
        "forgets all that waits for a target, when somebody says so",
        {"notices"},
        {"app": "big", "target": "mail"},
    ),
    "control.live_of_plan": ("lists the runs of one plan, to cancel them all", set(), {"plan": 118}),
    "control.set_held": (
        "changes the scheduled runs of one plan or pipeline, when somebody pauses it",
        set(),
        {"plan": 118, "pipeline": None, "paused": True},
    ),
    "work.outstanding": (
        "counts what is live, when a process has nothing in hand; here a tenth of all runs are",
        {"active", "runs"},
        {"pipelines": [1, 2, 3], "process": MINE, "plan": None, "soon": 0.0},
    ),
}
# gaps.sql reads the user's tables: benchmarks.plans measures it.
TOPICS = (
    "work",
    "reading",
    "plans",
    "control",
    "overrides",
    "events",
    "notices",
    "watching",
    "pruning",
    "service",
    "access",
)
