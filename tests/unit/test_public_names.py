"""The public names, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

NAMES = {
    "penstock": (
        "App AuthFailed Client Context DateGaps Day DefinitionError ErrorClass Event Gap InvalidData NetworkError "
        "NoData Outcome PenstockError Pipeline Plan PlanStale Quota QuotaSpent RateLimited Rejected Retry Run RunState "
        "SettingError Skip SqlGaps Step StepError Summary Transaction Why"
    ),
    "penstock.data": (
        "Api BadRow Check Issue Landed Llm Loaded Publication Quality Refreshed Sifted land load query read "
        "read_batches refresh sift"
    ),
    "penstock.testing": "Database Simulation context contracts database servers",
    "penstock.testing.servers": (
        "Answer Bill Call ChatServer Cut Drip Dv360Server Garbled Reply Request Sent Silent Turned WebServer "
        "WebhookServer dv360 http openai webhook"
    ),
}
HEAVY = (
    "alembic asyncio fastexcel genai_prices h11 httpx2 openai polars psycopg pydantic pydantic_settings rich "
    "sqlalchemy structlog typer yaml"
)


@pytest.mark.parametrize("module", NAMES)
def test_a_new_public_name_is_a_decision(module: str) -> None:
    assert importlib.import_module(module).__all__ == NAMES[module].split()


@pytest.mark.parametrize("module", NAMES)
def test_every_public_name_is_there(module: str) -> None:
    imported = importlib.import_module(module)
    for name in imported.__all__:
        assert getattr(imported, name) is getattr(imported, name)


@pytest.mark.parametrize("module", NAMES)
def test_dir_shows_the_public_names_alone(module: str) -> None:
    imported = importlib.import_module(module)
    assert dir(imported) == sorted(imported.__all__)


@pytest.mark.parametrize("module", NAMES)
def test_another_name_is_an_attribute_error(module: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Nothing'"):
        _ = importlib.import_module(module).Nothing


@pytest.mark.parametrize("order", [("database", "Database"), ("Database", "database")])
def test_database_is_a_function_whatever_was_imported_first(order: tuple[str, str]) -> None:
    imports = "; ".join(f"from penstock.testing import {name}" for name in order)
    code = f"{imports}; import inspect; assert inspect.isfunction(database)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", NAMES)
def test_importing_costs_nothing(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY.split()} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == []


def test_a_definition_loads_no_driver() -> None:
    heavy = ["alembic", "polars", "psycopg", "rich", "sqlalchemy", "structlog", "typer", "yaml"]
    code = f"import sys, penstock as ps; ps.Pipeline; print(*(name for name in {heavy} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == []
