"""The first API answers with its own names and types: each answer is compared with the seed's JSON, key by key."""

from __future__ import annotations

from typing import Any

from penstock.model.narrowing import is_list, is_mapping
from tests.api.conftest import Served, until

EXECUTIONS = {
    "executions": [
        {
            "id": "exec_123",
            "pipeline_id": "pipe_456",
            "pipeline_name": "DV360 Daily",
            "status": "completed",
            "layers": {
                "bronze": {"status": "completed", "records": 125000, "size_mb": 45.3, "duration_ms": 3200},
                "silver": {"status": "completed", "records": 124850, "records_filtered": 150, "duration_ms": 5600},
                "gold": {
                    "status": "completed",
                    "tables_updated": ["campaign_daily", "pacing_metrics"],
                    "duration_ms": 2100,
                },
            },
            "total_duration_ms": 10900,
            "started_at": "2024-12-23T06:00:00Z",
            "completed_at": "2024-12-23T06:00:11Z",
        }
    ]
}
TRIGGER = {
    "pipeline_id": "pipe_456",
    "parameters": {"date_range": {"start": "2024-12-20", "end": "2024-12-23"}, "force": False},
}
TRIGGERED = {"execution_id": "exec_789", "status": "scheduled", "estimated_start": "2024-12-23T10:05:00Z"}
LOGS = {
    "logs": [
        {
            "timestamp": "2024-12-23T06:00:01Z",
            "level": "info",
            "layer": "bronze",
            "message": "Started data ingestion from DV360",
        }
    ]
}
QUALITY: dict[str, Any] = {
    "quality_metrics": {
        "last_24h": {
            "total_records": 125000,
            "valid_records": 124850,
            "quality_score": 99.88,
            "issues": {"missing_fields": 100, "invalid_types": 50, "duplicates": 0},
        }
    },
    "by_pipeline": [{"pipeline_id": "pipe_456", "pipeline_name": "DV360 Daily", "quality_score": 99.95, "issues": 62}],
}
TIMES = {"started_at", "completed_at", "estimated_start", "timestamp"}


def same(found: Any, wanted: Any, place: str = "$") -> None:
    """The same keys in the same order, and the same types; of a list each entry is like the seed's first."""
    assert type(found) is type(wanted), (place, found, wanted)
    if is_mapping(wanted):
        assert list(found) == list(wanted), place
        for key in wanted:
            same(found[key], wanted[key], f"{place}.{key}")
            if key in TIMES:
                assert len(found[key]) == len("2024-12-23T06:00:00Z"), found[key]
                assert found[key].endswith("Z")
    elif is_list(wanted):
        assert found, place
        for number, item in enumerate(found):
            same(item, wanted[0], f"{place}[{number}]")


async def test_the_four_requests_of_the_first_api(served: Served) -> None:
    caller = await served.caller("operator")
    answer = await caller.post("/api/v1/etl/trigger", json=TRIGGER)
    assert answer.status_code == 200, answer.text
    same(answer.json(), TRIGGERED)
    execution = answer.json()["execution_id"]

    async def done() -> Any:
        found = await caller.get("/api/v1/etl/executions", params={"status": "completed", "pipeline_id": "pipe_456"})
        assert found.status_code == 200, found.text
        return found.json()["executions"] and found

    found = await until(done, "completed")
    same(found.json(), EXECUTIONS)
    assert found.json()["executions"][0]["id"] == execution
    layers = found.json()["executions"][0]["layers"]
    assert layers["bronze"]["records"] == 4000
    assert layers["bronze"]["size_mb"] == 181.2
    assert layers["silver"]["records_filtered"] == 48
    assert layers["gold"]["tables_updated"] == ["campaign_daily", "pacing_metrics"]

    async def said() -> Any:  # lines go to disk with the next group
        found = await caller.get(f"/api/v1/etl/executions/{execution}/logs")
        return found if len(found.json()["logs"]) >= 12 else None

    logs = await until(said, "the log")
    same(logs.json(), LOGS)
    assert {line["layer"] for line in logs.json()["logs"]} == {"bronze", "silver"}
    assert {line["level"] for line in logs.json()["logs"]} == {"info", "warning"}

    quality = await caller.get("/api/v1/etl/data-quality")
    same(quality.json()["by_pipeline"], QUALITY["by_pipeline"])
    day = quality.json()["quality_metrics"]["last_24h"]
    assert list(quality.json()) == list(QUALITY)
    assert set(day["issues"]) >= {"missing_fields", "invalid_types", "duplicates"}
    assert {**day, "issues": None} == {
        "total_records": 4000, "valid_records": 3952, "quality_score": 98.8, "issues": None,
    }  # fmt: skip
