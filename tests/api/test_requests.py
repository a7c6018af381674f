"""What is true of every request: limits, problems, headers, pages, the same answer to the same request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import psycopg
import pytest

from penstock.model.redaction import redact
from penstock.model.token import new_secret
from tests.api.conftest import Serve, Served, until

PLAN = {"pipeline": "ads", "where": {"feed_id": "pipe_456"}}
JSON = {"Content-Type": "application/json"}


def problem(answer: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    """The answer, if it is such a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:penstock:problem:{kind}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return body


async def test_problems_have_one_form(served: Served) -> None:
    caller = await served.caller("admin")
    problem(await caller.get("/api/v1/nothing"), 404, "not-found")
    problem(await caller.patch("/api/v1/plans"), 405, "method-not-allowed")
    problem(await caller.get("/api/v1/runs/999999"), 404, "not-found")
    problem(await caller.get("/api/v1/runs/0192f0c4-5a5e-8001-8000-000000000001"), 404, "not-found")
    problem(await caller.get("/api/v1/runs/x"), 422, "invalid")
    problem(await caller.get("/api/v1/runs/1%00"), 400, "malformed")
    problem(await caller.post("/api/v1/plans", content=b"{", headers=JSON), 422, "invalid")
    problem(await caller.post("/api/v1/plans", content=b"\xff\xfe{}", headers=JSON), 422, "invalid")
    problem(
        await caller.post("/api/v1/plans", content=json.dumps(PLAN), headers={"Content-Type": "text/plain"}),
        422,
        "invalid",
    )
    told = problem(await caller.post("/api/v1/plans", json={"pipelin": "ads"}), 422, "invalid")
    assert {fault["where"] for fault in told["errors"]} == {"body.pipeline", "body.pipelin"}
    problem(await caller.post("/api/v1/plans", json={"pipeline": "adz"}), 404, "not-found")
    problem(await caller.post("/api/v1/plans", json={"pipeline": "ads", "where": {"no": 1}}), 422, "invalid")
    problem(await caller.post("/api/v1/plans", json={"pipeline": "ads", "where": {"org_id": "x"}}), 422, "invalid")
    problem(await caller.post("/api/v1/plans", json={"pipeline": "ads\x00"}), 422, "invalid")
    problem(await caller.post("/api/v1/plans", content=b'{"pipeline": "\\ud800"}', headers=JSON), 422, "invalid")
    for half in ("\\ud800", "\\udbff", "\\uDC00"):
        params = f'{{"pipeline": "ads", "params": {{"advertiser": "{half}"}}}}'
        problem(await caller.post("/api/v1/plans", content=params.encode(), headers=JSON), 422, "invalid")
        key = f'{{"key": {{"feed_id": "{half}", "day": "2024-12-20"}}}}'
        problem(await caller.post("/api/v1/pipelines/ads/why", content=key.encode(), headers=JSON), 422, "invalid")
    whole = b'{"pipeline": "ads", "params": {"advertiser": "\\ud83d\\ude00"}}'
    assert (await caller.post("/api/v1/plans", content=whole, headers=JSON)).status_code == 201
    problem(await caller.post("/api/v1/plans", json={"pipeline": "ads", "params": {"advertiser": 1}}), 422, "invalid")
    told = problem(await caller.get("/api/v1/etl/executions", params={"pipelin_id": "x"}), 422, "invalid")
    assert "pipelin_id" in told["detail"]
    assert "pipeline_id" in told["detail"]
    backwards = {"date_from": "2025-01-02", "date_to": "2025-01-01"}
    problem(await caller.get("/api/v1/etl/executions", params=backwards), 422, "invalid")
    problem(await caller.put("/api/v1/overrides/retry.nonsense", json={"value": "1"}), 422, "setting")
    made = (await caller.post("/api/v1/plans", json=PLAN)).json()["id"]
    assert (await caller.delete(f"/api/v1/plans/{made}")).status_code == 204
    problem(await caller.post(f"/api/v1/plans/{made}/apply"), 409, "conflict")


async def test_an_answer_does_not_wait_for_an_acknowledgement(served: Served) -> None:
    """Headers and body are two packets: with Nagle's algorithm the second one is 40 ms late."""
    nobody = await served.caller(None)
    clock = asyncio.get_running_loop().time
    taken: list[float] = []
    for _ in range(20):
        began = clock()
        assert (await nobody.get("/livez")).status_code == 200
        taken.append(clock() - began)
    assert min(taken) < 0.035, taken


async def test_every_answer_has_its_headers(served: Served) -> None:
    caller = await served.caller("viewer")
    for path in ("/livez", "/api/v1/pipelines", "/api/v1/nothing"):
        answer = await caller.get(path, headers={"X-Request-ID": "mine-1"})
        assert answer.headers["x-request-id"] == "mine-1"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
    answer = await caller.get("/livez", headers={"X-Request-ID": "no good\t id"})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_a_large_body_is_refused_whether_its_size_is_said_or_not(serve: Serve) -> None:
    served = await serve(http_body=2_000)
    caller = await served.caller("operator")
    large = json.dumps({**PLAN, "note": "x" * 3_000}).encode()

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 500):
            yield large[start : start + 500]

    problem(await caller.post("/api/v1/plans", content=large, headers=JSON), 413, "too-large")
    problem(await caller.post("/api/v1/plans", content=parts(), headers=JSON), 413, "too-large")
    assert (await caller.post("/api/v1/plans", json=PLAN)).status_code == 201


async def test_a_token_that_asks_too_often_is_told_when_to_ask_again(serve: Serve) -> None:
    served = await serve(http_rate=5)
    eager, calm = await served.caller("viewer"), await served.caller("operator")
    answers = [await eager.get("/api/v1/pipelines") for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    problem(answers[-1], 429, "too-many")
    assert int(answers[-1].headers["retry-after"]) == 12
    assert (await calm.get("/api/v1/pipelines")).status_code == 200
    assert (await eager.get("/livez")).status_code == 200


async def test_pages_follow_one_another(served: Served) -> None:
    caller = await served.caller("operator")
    whole = (await caller.post("/api/v1/plans", json={"pipeline": "ads"})).json()
    seen: list[Any] = []
    cursor = None
    while True:
        query = {"limit": 5, **({"cursor": cursor} if cursor else {})}
        page = (await caller.get(f"/api/v1/plans/{whole['id']}/gaps", params=query)).json()
        seen += [(gap["unit"]["feed_id"], gap["unit"]["day"]) for gap in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == whole["gaps"] == 12
    for feed in ("pipe_456", "pipe_457", "pipe_900"):
        assert (await caller.post("/api/v1/etl/trigger", json={"pipeline_id": feed})).status_code == 200
    first = await caller.get("/api/v1/etl/executions", params={"limit": 2})
    assert list(first.json()) == ["executions"]
    following = re.fullmatch('<(.+)>; rel="next"', first.headers["link"])
    assert following is not None
    second = await caller.get(following[1])
    ids = [one["id"] for one in first.json()["executions"] + second.json()["executions"]]
    assert len(ids) == len(set(ids)) == 3
    assert "link" not in second.headers
    for wrong in ("x", "W10", "WyJydW5zIiwgMV0", "é"):
        problem(await caller.get("/api/v1/etl/executions", params={"cursor": wrong}), 422, "invalid")
    problem(await caller.get("/api/v1/etl/executions", params={"limit": 501}), 422, "invalid")


async def test_the_same_request_is_done_once_however_many_send_it(served: Served, database_url: str) -> None:
    caller = await served.caller("operator")
    body = {"pipeline_id": "pipe_456", "parameters": {"force": True}}
    headers = {"Idempotency-Key": "a-1"}

    async def send() -> httpx2.Response:
        while True:
            answer = await caller.post("/api/v1/etl/trigger", json=body, headers=headers)
            if answer.status_code != 409:
                return answer
            problem(answer, 409, "in-progress")
            assert answer.headers["retry-after"] == "1"
            await asyncio.sleep(0.02)

    answers = await asyncio.gather(*(send() for _ in range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 11
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) from penstock.plans where state = 'applied'").fetchone() == (1,)
    other = {**body, "pipeline_id": "pipe_457"}
    problem(await caller.post("/api/v1/etl/trigger", json=other, headers=headers), 422, "key-reused")
    problem(await caller.post("/api/v1/plans", json=PLAN, headers=headers), 422, "key-reused")
    admin = await served.caller("admin")
    mine = await admin.post("/api/v1/plans", json=PLAN, headers=headers)
    assert mine.status_code == 201  # another token's keys are its own


async def test_what_failed_may_be_asked_again_under_the_same_key(served: Served) -> None:
    caller = await served.caller("admin")
    headers = {"Idempotency-Key": "b-1"}
    body = {"name": "again", "role": "viewer"}
    assert (await caller.post("/api/v1/tokens", json=body)).status_code == 201
    problem(await caller.post("/api/v1/tokens", json=body, headers=headers), 409, "conflict")
    assert (await caller.delete("/api/v1/tokens/again")).status_code == 200
    made = await caller.post("/api/v1/tokens", json=body, headers=headers)
    assert made.status_code == 201
    problem(await caller.post("/api/v1/tokens", json=body, headers=headers), 409, "conflict")


async def test_made_up_tokens_leave_nothing_behind(served: Served) -> None:
    """Who has no token could else fill the memory with what is to be taken out of every text."""
    caller = await served.caller("viewer")
    assert (await caller.get("/api/v1/pipelines")).status_code == 200
    known = set(redact.known)
    for _ in range(3):
        made_up = {"Authorization": f"Bearer {new_secret()}"}
        problem(await caller.get("/api/v1/pipelines", headers=made_up), 401, "unauthorized")
    assert set(redact.known) == known
    assert served.tokens["viewer-all"] in known


async def test_no_secret_is_kept(served: Served, database_url: str) -> None:
    caller = await served.caller("admin")
    made = await caller.post("/api/v1/tokens", json={"name": "kept"}, headers={"Idempotency-Key": "c"})
    secret = made.json()["token"]
    with psycopg.connect(database_url) as connection:
        for table in ("api_tokens", "api_requests"):
            rows = connection.execute(f"select t::text from penstock.{table} t".encode()).fetchall()
            assert all(secret not in row[0] and secret.encode().hex() not in row[0] for row in rows)


async def test_a_request_whose_service_died_is_free_again(served: Served, database_url: str) -> None:
    caller = await served.caller("operator")
    headers = {"Idempotency-Key": "d"}
    assert (await caller.post("/api/v1/plans", json=PLAN, headers=headers)).status_code == 201
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update penstock.api_requests set status = null, headers = null, body = null")
        problem(await caller.post("/api/v1/plans", json=PLAN, headers=headers), 409, "in-progress")
        connection.execute("update penstock.api_requests set made_at = now() - interval '6 minutes'")
        assert (await caller.post("/api/v1/plans", json=PLAN, headers=headers)).status_code == 201
        connection.execute("update penstock.api_requests set made_at = now() - interval '2 days'")
        assert await served.gateway.store.forget_requests() == 1


async def test_health_tells_of_the_last_run_in_the_words_of_the_first_system(served: Served) -> None:
    nobody, caller = await served.caller(None), await served.caller("operator")
    before = await nobody.get("/health")
    assert before.json()["etl"] == dict.fromkeys(
        ("last_run_id", "last_run_started", "last_run_completed", "last_run_status", "last_run_duration_seconds",
         "last_run_rows")
    )  # fmt: skip
    await caller.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_456"})

    async def ended() -> Any:
        etl = (await nobody.get("/health")).json()["etl"]
        return etl if etl["last_run_completed"] else None

    etl = await until(ended, "ended")
    assert list(etl) == list(before.json()["etl"])
    assert isinstance(etl["last_run_id"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", etl["last_run_started"])
    assert (etl["last_run_status"], etl["last_run_rows"]) == ("success", 4000 + 3952 + 3952)
    assert isinstance(etl["last_run_duration_seconds"], float)
    failing = {"pipeline_id": "pipe_900", "parameters": {"fail": True}}
    assert (await caller.post("/api/v1/etl/trigger", json=failing)).status_code == 200

    async def failed() -> bool:
        return bool((await nobody.get("/health")).json()["etl"]["last_run_status"] == "failure")

    await until(failed, "failure")


async def test_it_is_ready_while_it_can_work_and_says_what_keeps_it(served: Served, database_url: str) -> None:
    nobody = await served.caller(None)

    async def ready() -> bool:
        return bool((await nobody.get("/readyz")).status_code == 200)

    await until(ready, "ready")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("update penstock.migrations set version_num = '9999'")
        answer = await nobody.get("/readyz")
        assert answer.status_code == 503
        assert "migrations" in answer.json()["faults"]
        assert (await nobody.get("/health")).json()["status"] == "degraded"
        connection.execute("update penstock.migrations set version_num = %s", [served.gateway.head])
    served.gateway.stopping.set()
    assert (await nobody.get("/readyz")).json()["faults"] == {"service": "it is stopping"}
    assert (await nobody.get("/livez")).status_code == 200


async def test_metrics_have_bounded_labels(served: Served) -> None:
    caller = await served.caller("operator")
    await caller.get("/api/v1/runs/123456")
    await caller.get("/api/v1/surely/not/there")
    run = (await caller.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_456"})).json()["execution_id"]

    async def counted() -> Any:
        text = (await caller.get("/metrics")).text
        return text if 'penstock_executions_total{pipeline="ads",state="completed"} 1.0' in text else None

    text = await until(counted, "counted")
    assert 'route="/api/v1/runs/{run}",status="404"' in text
    assert 'route="unmatched",status="404"' in text
    assert "123456" not in text
    assert run not in text
    assert "pipe_456" not in text
    assert 'penstock_processes{state="alive"} 1.0' in text


async def test_many_that_ask_for_metrics_at_once_look_at_the_ledger_once(served: Served, database_url: str) -> None:
    caller = await served.caller("viewer")
    answers = await asyncio.gather(*(caller.get("/metrics") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    with psycopg.connect(database_url, autocommit=True) as connection:
        looking = connection.execute(
            "select count(*) from pg_stat_activity"
            " where application_name = 'penstock top' and datname = current_database()"
        ).fetchone()
    assert looking == (1,)


async def test_two_services_share_the_work_and_do_nothing_twice(serve: Serve, database_url: str) -> None:
    first, second = await serve(lanes=2), await serve(lanes=2)
    caller = await first.caller("operator")
    other = httpx2.AsyncClient(base_url=second.url, headers=dict(caller.headers), trust_env=False)
    async with other:
        bodies = {"pipeline": "ads", "start": "2024-12-20", "end": "2024-12-23", "force": True}
        plans = await asyncio.gather(*(c.post("/api/v1/backfills", json=bodies) for c in (caller, other) * 3))
        assert {plan.status_code for plan in plans} <= {202, 409}, [plan.text for plan in plans]
        ids = [plan.json()["id"] for plan in plans if plan.status_code == 202]

        async def over() -> bool:
            found = [(await other.get(f"/api/v1/backfills/{one}")).json() for one in ids]
            return all(one["done"] == one["total"] for one in found)

        await until(over, "over")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """select count(*), count(distinct process_id), count(*) filter (where state <> 'completed'),
                 count(*) filter (where claims > 1) from penstock.runs"""
        ).fetchone()
        assert row is not None
        assert row[0] >= 3
        assert row[2:] == (0, 0)
        twice = connection.execute(
            """select count(*) from penstock.runs a
               join penstock.runs b on a.lane_id = b.lane_id and a.run_id < b.run_id and a.finished_at > b.started_at"""
        ).fetchone()
        assert twice == (0,)
        alive = connection.execute("select count(*) from penstock.v1_processes where state = 'alive'").fetchone()
        assert alive == (2,)


async def test_events_that_nobody_reads_go_into_their_log(serve: Serve, database_url: str) -> None:
    """A run with an event that is still in the outbox is never pruned."""
    first = await serve()
    caller = await first.caller("operator")
    assert (await caller.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_456"})).status_code == 200
    with psycopg.connect(database_url, autocommit=True) as connection:

        def told(table: str) -> int:
            asked = f"select count(*) from penstock.{table} where type = 'execution.completed'"
            row = connection.execute(asked.encode()).fetchone()
            return 0 if row is None else int(row[0])

        await until(lambda: told("outbox"), "the run is over")
        await serve()  # looks when it starts, and each hour
        await until(lambda: told("events") and not told("outbox"), "the event is in the log")


@pytest.mark.parametrize("how", ["revoked", "over", "cut", "another app's"])
async def test_a_token_that_is_not_in_force_opens_nothing(served: Served, database_url: str, how: str) -> None:
    caller = await served.caller("viewer")
    assert (await caller.get("/api/v1/pipelines")).status_code == 200
    with psycopg.connect(database_url, autocommit=True) as connection:
        match how:
            case "revoked":
                await served.gateway.tokens.revoke("viewer-all")
            case "over":
                connection.execute("update penstock.api_tokens set expires_at = now()")
            case "cut":
                caller.headers["authorization"] = caller.headers["authorization"][:-1]
            case _:
                connection.execute("update penstock.api_tokens set app = 'another'")
    problem(await caller.get("/api/v1/pipelines"), 401, "unauthorized")
