"""Who may do what: every route is walked as nobody, viewer, operator, admin and as another organization."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import urlencode

import httpx2
import psycopg
import pytest
from fastapi.routing import APIRoute
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from penstock.api.http.app import make_app
from penstock.api.http.guard import ROLE
from penstock.ledger.connect import Connected
from penstock.ledger.tenant import TenantLedger
from penstock.model.token import ROLES
from tests.api.conftest import Serve, Served, until
from tests.docs.pages import page

OPEN = {"/livez", "/readyz", "/health"}
OPERATORS = {
    "POST /api/v1/etl/trigger",
    "POST /api/v1/pipelines/{pipeline}/pause",
    "POST /api/v1/pipelines/{pipeline}/resume",
    "POST /api/v1/plans",
    "DELETE /api/v1/plans/{plan}",
    "POST /api/v1/plans/{plan}/apply",
    "POST /api/v1/plans/{plan}/pause",
    "POST /api/v1/plans/{plan}/resume",
    "POST /api/v1/plans/{plan}/cancel",
    "POST /api/v1/runs/{run}/retry",
    "POST /api/v1/runs/{run}/cancel",
    "POST /api/v1/backfills",
}
ADMINS = {
    "PUT /api/v1/overrides/{name}",
    "DELETE /api/v1/overrides/{name}",
    "GET /api/v1/tokens",
    "POST /api/v1/tokens",
    "DELETE /api/v1/tokens/{name}",
}
BODIES: dict[str, Any] = {
    "POST /api/v1/etl/trigger": {"pipeline_id": "pipe_456"},
    "POST /api/v1/plans": {"pipeline": "ads", "where": {"feed_id": "pipe_456"}},
    "POST /api/v1/backfills": {
        "pipeline": "ads",
        "start": "2024-12-20",
        "end": "2024-12-20",
        "where": {"feed_id": "pipe_456"},
    },
    "POST /api/v1/pipelines/{pipeline}/why": {"key": {"feed_id": "pipe_456", "day": "2024-12-20"}},
    "POST /api/v1/tokens": {"name": "walked"},
    "PUT /api/v1/overrides/{name}": {"value": "3"},
}
QUERIES = {"GET /api/v1/runs": {"pipeline": "ads"}, "GET /api/v1/units": {"pipeline": "ads"}}


def routes(served: Served) -> list[tuple[str, str, str]]:
    """Method, path and least role of every route that the application has."""
    app = make_app(served.gateway)
    found = [
        (method, route.path, str((route.openapi_extra or {})[ROLE]))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in sorted(set(route.methods or ()) - {"HEAD"})
    ]
    assert len(found) == sum(len(methods) for methods in app.openapi()["paths"].values())
    assert {type(route) for route in app.routes} <= {APIRoute, type(app.router.routes[0])}
    return found


def test_every_route_needs_what_is_written_here(served: Served) -> None:
    for method, path, role in routes(served):
        name = f"{method} {path}"
        wanted = (
            "nobody" if path in OPEN else "operator" if name in OPERATORS else "admin" if name in ADMINS else "viewer"
        )
        assert role == wanted, name
    names = {f"{method} {path}" for method, path, _ in routes(served)}
    assert names >= OPERATORS | ADMINS
    told = re.findall(r"^\| `(\w+)` \| `(/\S+)` \| (\w+) \|", page("docs/reference/rest.md").text, re.MULTILINE)
    assert sorted(told) == sorted(routes(served))


COUNTED = (
    "runs", "run_units", "units", "attempts", "calls", "logs", "quality_metrics", "lanes", "plans", "events", "v1_runs",
    "v1_run_units", "v1_units", "v1_attempts", "v1_steps", "v1_logs", "v1_quality", "v1_plans", "v1_events",
)  # fmt: skip
ACT_AS = "select set_config('role', 'penstock_tenant', true), set_config('penstock.org', %s, true)"
STREAM = "/api/v1/events/stream"


async def ask(caller: httpx2.AsyncClient, method: str, path: str, ids: dict[str, str]) -> httpx2.Response:
    name = f"{method} {path}"
    if path == STREAM:
        async with caller.stream(method, path) as answer:
            if answer.status_code != 200:
                await answer.aread()
            return answer
    return await caller.request(method, path.format(**ids), json=BODIES.get(name), params=QUERIES.get(name))


@pytest.fixture
async def ids(served: Served) -> dict[str, str]:
    """Something of organization 7 for every name in a path."""
    caller = await served.caller("admin")
    plan = await caller.post("/api/v1/plans", json={"pipeline": "ads", "where": {"org_id": 7, "feed_id": "pipe_457"}})
    assert plan.status_code == 201, plan.text
    run = await caller.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_456"})
    assert run.status_code == 200, run.text
    execution = run.json()["execution_id"]

    async def done() -> bool:
        shown = await caller.get(f"/api/v1/runs/{execution}")
        return bool(shown.json()["state"] == "completed")

    await until(done, "completed")
    return {
        "plan": plan.json()["id"],
        "run": execution,
        "execution_id": execution,
        "pipeline": "ads",
        "name": "retry.attempts",
    }


async def test_nobody_gets_anything_but_the_probes(served: Served, ids: dict[str, str]) -> None:
    nobody = await served.caller(None)
    stranger = httpx2.AsyncClient(
        base_url=served.url, headers={"Authorization": "Bearer pst_" + "x" * 46}, trust_env=False
    )
    async with stranger:
        for method, path, _ in routes(served):
            for caller in (nobody, stranger):
                answer = await ask(caller, method, path, ids)
                if path in OPEN:
                    assert answer.status_code in (200, 503), path
                else:
                    assert answer.status_code == 401, (path, answer.text)
                    assert answer.headers["www-authenticate"].startswith("Bearer")
                    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_gets_its_routes_and_no_others(served: Served, ids: dict[str, str], role: Any) -> None:
    caller = await served.caller(role)
    for method, path, needed in routes(served):
        answer = await ask(caller, method, path, ids)
        if needed != "nobody" and ROLES.index(needed) > ROLES.index(role):
            assert answer.status_code == 403, (method, path, answer.text)
        else:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
            assert answer.status_code < 500 or path in OPEN, (method, path, answer.text)


@pytest.mark.parametrize("walls", ["both", "the first alone"])
async def test_another_organization_sees_and_changes_nothing(
    served: Served, ids: dict[str, str], walls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if walls != "both":
        monkeypatch.setattr(TenantLedger, "_rows", Connected._rows)  # what is read is read as the owner
    other = await served.caller("admin", "8")
    for method, path, needed in routes(served):
        if needed == "nobody" or path in ("/api/v1/openapi.json", STREAM):
            continue
        answer = await ask(other, method, path, ids)
        assert answer.status_code < 500, (method, path, answer.text)
        told = json.dumps(answer.json()) if answer.content else ""
        if answer.status_code < 300:
            assert "pipe_456" not in told, (method, path, told)
            assert "pipe_457" not in told, (method, path, told)
            assert ids["run"] not in told, (method, path, told)
            assert ids["plan"] not in told, (method, path, told)
        if "{plan}" in path or "{run}" in path or "{execution_id}" in path:
            assert answer.status_code == 404, (method, path, answer.text)
    owner = await served.caller("viewer")
    assert (await owner.get(f"/api/v1/plans/{ids['plan']}")).json()["state"] == "open"


async def test_an_organization_sees_its_own(served: Served, ids: dict[str, str]) -> None:
    own = await served.caller("operator", "7")
    assert (await own.get(f"/api/v1/runs/{ids['run']}")).status_code == 200
    assert len((await own.get("/api/v1/etl/executions")).json()["executions"]) == 1
    assert (await own.get(f"/api/v1/etl/executions/{ids['run']}/logs")).status_code == 200
    assert (await own.get("/api/v1/etl/data-quality")).json()["by_pipeline"][0]["pipeline_id"] == "pipe_456"
    assert [p["name"] for p in (await own.get("/api/v1/pipelines")).json()] == ["ads"]
    assert len((await own.get("/api/v1/units", params={"pipeline": "ads"})).json()["items"]) == 4
    assert len((await own.get("/api/v1/runs", params={"pipeline": "ads"})).json()["items"]) == 1
    mine = await own.post("/api/v1/plans", json={"pipeline": "ads"})
    assert mine.json()["counts"] == {"missing": 4}  # pipe_457: pipe_456 is made, pipe_900 is another's
    applied = await own.post(f"/api/v1/plans/{mine.json()['id']}/apply")
    assert applied.status_code == 202, applied.text

    async def over() -> bool:
        shown = await own.get(f"/api/v1/plans/{mine.json()['id']}/progress")
        return bool(shown.json()["over"])

    await until(over, "over")
    triggered = await own.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_457", "parameters": {"force": True}})
    assert triggered.status_code == 200, triggered.text
    why = await own.post("/api/v1/pipelines/ads/why", json={"key": {"feed_id": "pipe_457", "day": "2024-12-20"}})
    assert why.status_code == 200, why.text
    for refused in (
        await own.post("/api/v1/plans", json={"pipeline": "ads", "where": {"org_id": 8}}),
        await own.post(
            "/api/v1/plans",
            json={"pipeline": "ads", "units": [{"org_id": 7, "feed_id": "pipe_900", "name": "x", "day": "2024-12-20"}]},
        ),
        await own.post("/api/v1/pipelines/ads/pause"),
    ):
        assert refused.status_code == 403, refused.text
    for _ in range(2):  # made once; then there is nothing to do, which is a run too
        once = await own.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_457"})
        assert once.status_code == 200, once.text
        skipped = (await own.get(f"/api/v1/runs/{once.json()['execution_id']}")).json()
        assert skipped["pipeline"] == "ads"
    stolen = await own.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_900"})
    assert stolen.status_code == 404, stolen.text
    hidden = await own.post("/api/v1/pipelines/ads/why", json={"key": {"feed_id": "pipe_900", "day": "2024-12-20"}})
    assert hidden.status_code == 404, hidden.text


async def test_an_admin_of_one_organization_gives_tokens_of_that_one_only(served: Served) -> None:
    admin, whole = await served.caller("admin", "7"), await served.caller("admin")
    made = await admin.post("/api/v1/tokens", json={"name": "mine", "role": "viewer"})
    assert (made.status_code, made.json()["org"]) == (201, "7")
    assert (await admin.post("/api/v1/tokens", json={"name": "theirs", "org": "8"})).status_code == 403
    assert {t["org"] for t in (await admin.get("/api/v1/tokens")).json()} == {"7"}
    assert (await admin.delete("/api/v1/tokens/admin-all")).status_code == 404
    new = httpx2.AsyncClient(
        base_url=served.url, headers={"Authorization": f"Bearer {made.json()['token']}"}, trust_env=False
    )
    async with new:
        assert (await new.get("/api/v1/pipelines")).status_code == 200
        assert (await whole.delete("/api/v1/tokens/mine")).status_code == 200
        assert (await new.get("/api/v1/pipelines")).status_code == 401
    assert made.json()["token"] not in json.dumps((await whole.get("/api/v1/tokens")).json())


async def test_the_second_wall_holds_without_the_first(served: Served, ids: dict[str, str], database_url: str) -> None:
    """As a tenant, a query without any condition sees no row of another organization."""
    whole = await served.caller("operator")
    answer = await whole.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_900"})
    assert answer.status_code == 200, answer.text

    async def done() -> bool:
        shown = await whole.get(f"/api/v1/runs/{answer.json()['execution_id']}")
        return bool(shown.json()["state"] == "completed")

    await until(done, "completed")

    async def said() -> bool:  # lines go to disk with the next group
        found = [await whole.get(f"/api/v1/runs/{run}/logs") for run in (ids["run"], answer.json()["execution_id"])]
        return all(len(one.json()["items"]) > 5 for one in found)

    await until(said, "logs")
    await served.gateway.whole.events.last()  # what is in the outbox goes into the log
    with psycopg.connect(database_url) as connection:

        def count(table: str) -> int:
            row = connection.execute(f"select count(*) from penstock.{table}".encode()).fetchone()
            assert row is not None
            return int(row[0])

        whole_counts = {table: count(table) for table in COUNTED}
        seen: dict[str, dict[str, int]] = {}
        for org in ("7", "8", "9", ""):
            connection.execute(ACT_AS, [org])
            seen[org] = {table: count(table) for table in COUNTED}
            if org == "8":
                found = connection.execute("select distinct org from penstock.runs").fetchall()
                assert found == [("8",)]
                owners = connection.execute("select distinct unit ->> 'org_id' from penstock.units").fetchall()
                assert owners == [("8",)]
            for forbidden in ("api_tokens", "api_requests", "overrides", "notices", "quota_draws", "migrations"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                    connection.execute(f"select * from penstock.{forbidden}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("update penstock.runs set state = 'cancelled'")
            connection.rollback()
    for table in COUNTED:
        if table not in ("plans", "v1_plans"):
            assert seen["7"][table] + seen["8"][table] == whole_counts[table], table
            assert seen["7"][table] > 0 or table == "calls", table
            assert seen["8"][table] > 0 or table == "calls", table
    assert set(seen["9"].values()) == set(seen[""].values()) == {0}


def test_every_table_that_a_tenant_may_read_has_its_wall(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            """select k.relname, k.relkind, k.relrowsecurity,
                 coalesce('security_invoker=true' = any (k.reloptions), false),
                 exists (select from pg_policy p
                   where p.polrelid = k.oid and p.polname = 'tenant' and not p.polpermissive)
               from pg_class k where k.relnamespace = 'penstock'::regnamespace and k.relkind in ('r', 'v', 'm', 'p')
                 and has_any_column_privilege('penstock_tenant', k.oid, 'select')"""
        ).fetchall()
    assert len(found) > 20
    for name, kind, secured, invoker, walled in found:
        assert (secured and walled) if kind in (b"r", "r") else invoker, name


def test_the_owner_does_not_pay_for_the_wall(database_url: str) -> None:
    """Who owns the tables, and is no superuser, reads them without any condition of a tenant's."""
    name = sql.Identifier(f"owner_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("create role {}").format(name))
        connection.execute(sql.SQL("grant usage on schema penstock to {}").format(name))
        for table in ("runs", "logs", "installation"):
            change = sql.SQL("alter table penstock.{} owner to {}")
            connection.execute(change.format(sql.Identifier(table), name))
        told: dict[str, str] = {}
        for role in (name, sql.Identifier("penstock_tenant")):
            connection.execute(sql.SQL("set local role {}").format(role))
            rows = connection.execute("explain select count(*) from penstock.logs where run_id = 1").fetchall()
            told[role.as_string()] = "\n".join(row[0] for row in rows)
            connection.execute("reset role")
        connection.rollback()
    owner, tenant = told.values()
    assert "penstock.org" not in owner
    assert "current_user" not in owner.lower()
    assert "penstock.org" in tenant, tenant


async def test_the_wall_is_built_anew_where_a_migration_has_replaced_a_view(serve: Serve, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter view penstock.v1_runs reset (security_invoker)")
        await serve()
        row = connection.execute("select reloptions from pg_class where oid = 'penstock.v1_runs'::regclass").fetchone()
    assert row == (["security_invoker=true"],)


async def test_without_the_wall_tokens_of_one_organization_are_refused(serve: Serve, database_url: str) -> None:
    """A user who may not act as the tenant's role serves all that needs no wall, and says what is missing."""
    name = f"plain_{uuid.uuid4().hex[:12]}"
    database = sql.Identifier(str(conninfo_to_dict(database_url)["dbname"]))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login password 'plain-secret'").format(sql.Identifier(name)))
        try:
            for statement in (
                "grant all on database {db} to {role}", "grant all on schema penstock to {role}",
                "grant all on all tables in schema penstock to {role}",
                "grant all on all sequences in schema penstock to {role}",
                "grant execute on all functions in schema penstock to {role}",
            ):  # fmt: skip
                connection.execute(sql.SQL(statement).format(db=database, role=sql.Identifier(name)))
            given = {**conninfo_to_dict(database_url), "user": name, "password": "plain-secret"}
            served = await serve(url="postgresql://?" + urlencode({k: str(v) for k, v in given.items()}))
            assert f"grant penstock_tenant to {name}" in (served.gateway.tokens.fault or "")
            whole, bound = await served.caller("operator"), await served.caller("operator", "7")
            assert (await whole.get("/api/v1/pipelines")).status_code == 200
            refused = await bound.get("/api/v1/pipelines")
            assert refused.status_code == 403
            assert "refused" in refused.json()["detail"]
            health = (await bound.get("/health")).json()
            assert health["status"] == "degraded"
            assert "grant penstock_tenant" in health["faults"]["organizations"]
            await served.stack.aclose()
        finally:
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
