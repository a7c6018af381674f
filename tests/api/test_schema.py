"""The whole OpenAPI, with requests made up from it: no 5xx, no undocumented status, every answer fits its schema."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup

from penstock import wiring
from penstock.api.http.app import make_app
from penstock.api.http.serving import bind
from penstock.config import Settings
from penstock.model.narrowing import is_mapping
from tests.api.medallion import make

EXAMPLES = 12


class Thread:
    """A service in a loop of its own, since what asks here blocks."""

    def __init__(self, url: str, home: Path) -> None:
        self.ready, self.stop = threading.Event(), asyncio.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._run(url, home),), daemon=True)
        self.thread.start()
        assert self.ready.wait(60)

    async def _run(self, url: str, home: Path) -> None:
        app = make()
        chosen = Settings(home=home, http_port=0, http_rate=1_000_000, grace=1.0)
        async with AsyncExitStack() as stack:
            gateway = await stack.enter_async_context(
                wiring.open_service(app.registry, chosen, database=wiring.Database(url))
            )
            self.url, _ = await stack.enter_async_context(wiring.running(gateway, bind("127.0.0.1", 0, "http_port")))
            self.secret = (await gateway.tokens.create("schema", "admin")).secret
            self.schema = make_app(gateway).openapi()
            self.ready.set()
            await self.stop.wait()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.loop.close()


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Thread]:
    started = Thread(database_url, tmp_path)
    yield started
    started.close()


@pytest.fixture
def described(service: Thread) -> Any:
    return schemathesis.openapi.from_dict(service.schema)


KNOWN: Any = checks  # its own types are not whole
CHECKS = [
    KNOWN.not_a_server_error,
    KNOWN.status_code_conformance,
    KNOWN.content_type_conformance,
    KNOWN.response_schema_conformance,
    KNOWN.response_headers_conformance,
    KNOWN.negative_data_rejection,
]


def aim(case: Any, ids: dict[str, str]) -> None:
    """At what is there: made-up names and ids lead to 404 alone."""
    for name in set(case.path_parameters or {}) & set(ids):
        case.path_parameters[name] = ids[name]
    if case.query and "pipeline" in case.query:
        case.query["pipeline"] = "ads"
    if is_mapping(case.body):
        here = {name: "ads" for name in ("pipeline", "pipeline_id") if isinstance(case.body.get(name), str)}
        case.body = {**case.body, **here}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_answer_is_as_described(service: Thread, described: Any) -> None:
    described.config.update(base_url=service.url)
    headers = {"Authorization": f"Bearer {service.secret}"}
    asked: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    with httpx2.Client(base_url=service.url, headers=headers, trust_env=False) as caller:
        run = caller.post("/api/v1/etl/trigger", json={"pipeline_id": "pipe_456"}).json()["execution_id"]
        plan = caller.post("/api/v1/plans", json={"pipeline": "ads"}).json()["id"]
    ids = {"pipeline": "ads", "plan": plan, "run": run, "execution_id": run}
    for result in described.get_all_operations():
        operation = result.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if operation.path == "/api/v1/events/stream":  # it does not end; test_events.py has it
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                cases = operation.as_strategy(generation_mode=mode)
            except Unsatisfiable:  # what takes nothing cannot be asked wrongly
                continue

            @settings(
                max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
                phases=[Phase.explicit, Phase.generate, Phase.shrink],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
            )  # fmt: skip
            @given(case=cases)
            def ask(case: Any) -> None:
                asked[name] += 1  # noqa: B023 - called in this turn
                if asked[name] % 2 and mode is GenerationMode.POSITIVE:  # noqa: B023
                    aim(case, ids)
                answer = case.call(headers=headers)
                statuses[answer.status_code] += 1
                raw = operation.definition.raw  # noqa: B023 - called in this turn
                open_to_all = raw["x-penstock-role"] == "nobody"  # probes take what comes
                case.validate_response(answer, checks=CHECKS[:-1] if open_to_all else CHECKS)

            try:
                ask()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, name
    assert len(asked) > 30
    assert {200, 201, 202, 204, 404, 409, 422} <= set(statuses), statuses
    assert statuses[200] > 100


def test_an_answer_that_is_not_as_described_would_be_seen(service: Thread) -> None:
    wrong = deepcopy(service.schema)
    wrong["components"]["schemas"]["Live"]["required"] = ["uptime"]
    described: Any = schemathesis.openapi.from_dict(wrong)
    described.config.update(base_url=service.url)
    case = described["/livez"]["GET"].Case()
    with pytest.raises(FailureGroup, match="uptime"):
        case.validate_response(case.call(), checks=CHECKS)


def test_schemas_are_closed_and_say_every_answer(service: Thread) -> None:
    open_ones = {
        name for name, each in service.schema["components"]["schemas"].items()
        if each.get("type") == "object" and each.get("additionalProperties") is not False
    }  # fmt: skip
    assert open_ones == {"Parameters"}  # whatever else is said goes to the pipeline's own parameters
    for path, methods in service.schema["paths"].items():
        for method, operation in methods.items():
            told = set(operation["responses"])
            if operation["x-penstock-role"] == "nobody":
                assert "security" not in operation, path
                continue
            assert operation["security"] == [{"token": []}], path
            assert told >= {"400", "401", "403", "422", "429", "500", "503"}, (path, method)
            assert "{" not in path or "404" in told, (path, method)
            assert method != "post" or told >= {"409", "413"}, path
            assert any(status.startswith("2") for status in told), path
            assert operation["description"], path
