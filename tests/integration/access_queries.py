"""What tokens and repeated requests may read in the ledger that million_runs.sql makes; see test_query_plans.py."""

from __future__ import annotations

from typing import Any

ATTEMPT = "00000000-0000-0000-0000-000000000001"
TOKEN: dict[str, Any] = {"app": "big", "name": "n", "role": "viewer", "org": None, "hash": b"\0" * 32}
REQUEST: dict[str, Any] = {"token": 1, "key": "k", "hash": b"\0", "attempt": ATTEMPT}
HOT: dict[str, list[tuple[int, dict[str, Any]]]] = {
    "access.add_token": [(0, {**TOKEN, "by": None, "expires_at": None, "first": False})],
    "access.lock_tokens": [(0, {"app": "big"})],
    "access.find_token": [(0, {"app": "big", "hash": b"\0" * 32})],
    "access.tokens": [(0, {"app": "big", "org": None})],
    "access.revoke_token": [(0, {"app": "big", "name": "n", "org": None})],
    "access.end_request": [(0, {**REQUEST, "status": 200, "headers": "{}", "body": b""})],
    "access.drop_request": [(0, REQUEST)],
    "access.forget_requests": [(0, {})],
    "access.own_plan": [(0, {"plan": 7, "org": "1"})],
    "access.owns_plan": [(0, {"plan": 7, "org": "1"})],
}
COLD: dict[str, tuple[str, set[str], dict[str, Any] | None]] = {
    "access.begin_request": ("writes one row that names a token, of which there is none here", set(), None),
    "access.build_wall": ("makes a role and its grants, once", set(), None),
    "access.act_as": ("sets two settings", set(), None),
}
