"""The canonical text of a key is the same from Python and from PostgreSQL, whatever the value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.definition.units import UnitType
from penstock.model.key import Key, KeyKind, kind_of


class Quarter(Enum):
    Q1 = "first"
    Q2 = "second"


class Color(str, Enum):  # noqa: UP042 - the older way to write StrEnum, which is in use
    RED = "red"


class Number(IntEnum):
    ONE = 1


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(empty_database_url) as connection:
        yield connection


def in_sql(connection: psycopg.Connection[tuple[Any, ...]], kind: KeyKind, values: list[Any]) -> list[str]:
    """The canonical texts that PostgreSQL makes of these values."""
    sql = Key({"v": kind}).sql(lambda column: f'"{column}"')
    binds = {f"v{n}": value for n, value in enumerate(values)}
    rows = ", ".join(f"({n}, %(v{n})s::{COLUMN[kind]})" for n in range(len(values)))
    query = f"select {sql} from (values {rows}) as given (n, v) order by n"
    return [text for (text,) in connection.execute(query.encode(), binds).fetchall()]


def in_python(kind: KeyKind, values: list[Any]) -> list[str]:
    return [Key({"v": kind}).text({"v": value}) for value in values]


COLUMN: dict[KeyKind, str] = {
    "integer": "bigint",
    "text": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "uuid": "uuid",
    "decimal": "numeric",
}

AWKWARD: dict[KeyKind, list[Any]] = {
    "integer": [0, -1, 7, 2**53 + 1, 2**63 - 1, -(2**63)],
    "text": [
        "",
        " ",
        "RY",
        "it's",
        'say "no"',
        "back\\slash",
        "a\nb\tc\rd\x08\x0c",
        "\x01\x1f\x7f",
        "{json: [1]}",
        "50 %",
        "%(start)s %s %%",
        "é ñ ß 日本 🙂",
        "e\u0301",
        "</script>/",
        "\u2028\u2029\ufeff",
        "null",
    ],
    "boolean": [True, False],
    "date": [date(2026, 1, 31), date(1, 1, 1), date(9999, 12, 31)],
    "timestamp": [
        datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
        datetime(2026, 1, 31, 12, 30, 15, 1, tzinfo=UTC),
        datetime(2026, 7, 1, 0, 30, tzinfo=ZoneInfo("America/Toronto")),
        datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        datetime(987, 6, 5, tzinfo=UTC),
    ],
    "uuid": [UUID("00000000-0000-0000-0000-000000000000"), UUID("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11")],
    "decimal": [
        Decimal("1.50"),
        Decimal("1.5"),
        Decimal("1E+2"),
        Decimal("-0"),
        Decimal("-0.00"),
        Decimal("0E-7"),
        Decimal("1E-7"),
        Decimal("-12.340"),
        Decimal(100),
        Decimal("12345678901234567890123456789012345.6789"),
    ],
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_python_and_sql_write_the_same_key(connection: psycopg.Connection[tuple[Any, ...]], kind: KeyKind) -> None:
    texts = in_python(kind, AWKWARD[kind])
    assert texts == in_sql(connection, kind, AWKWARD[kind])
    for text in texts:
        assert list(json.loads(text)) == ["v"]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
DECIMAL = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
MOMENT = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - as hypothesis asks for them


@given(texts=st.lists(TEXT, min_size=1), decimals=st.lists(DECIMAL, min_size=1), moments=st.lists(MOMENT, min_size=1))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_python_and_sql_write_the_same_key_of_whatever_comes(
    connection: psycopg.Connection[tuple[Any, ...]],
    texts: list[str],
    decimals: list[Decimal],
    moments: list[datetime],
) -> None:
    assert in_python("text", texts) == in_sql(connection, "text", texts)
    assert in_python("decimal", decimals) == in_sql(connection, "decimal", decimals)
    assert in_python("timestamp", moments) == in_sql(connection, "timestamp", moments)


def test_equal_values_have_one_text() -> None:
    assert len(set(in_python("decimal", [Decimal("1.5"), Decimal("1.50"), Decimal("15E-1")]))) == 1
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert len(set(in_python("timestamp", [noon, noon.astimezone(ZoneInfo("Asia/Tokyo"))]))) == 1


def test_a_key_is_one_json_object_in_alphabetical_order(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    key = Key({"quarter": "text", "bank_id": "integer", "final": "boolean"})
    expected = '{"bank_id":1,"final":true,"quarter":"Q2"}'
    assert key.text({"quarter": "Q2", "bank_id": 1, "final": True}) == expected
    sql = key.sql(lambda column: f'"{column}"')
    query = f"select {sql} from (select 'Q2' as quarter, 1 as bank_id, true as final) as given"
    assert connection.execute(query.encode()).fetchall() == [(expected,)]


def test_a_field_may_have_any_name_that_python_allows(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    key = Key({"größe": "integer"})
    sql = key.sql(lambda column: f'"{column}"')
    query = f"select {sql} from (select 3 as größe) as given"
    assert connection.execute(query.encode()).fetchall() == [(key.text({"größe": 3}),)] == [('{"größe":3}',)]


def test_a_time_without_a_zone_names_no_instant() -> None:
    with pytest.raises(ValueError, match="has no time zone, so it names no instant"):
        Key({"at": "timestamp"}).text({"at": datetime(2026, 1, 31)})  # noqa: DTZ001 - the mistake under test


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, "integer"),
        (bool, "boolean"),
        (str, "text"),
        (date, "date"),
        (datetime, "timestamp"),
        (UUID, "uuid"),
        (Decimal, "decimal"),
        (Quarter, "text"),
        (Color, "text"),
        (Literal["Q1", "Q2"], "text"),
        (float, None),
        (Number, None),
        (bytes, None),
        (list[str], None),
        (tuple[str, ...], None),
        (int | None, None),
        (Literal[1, 2], None),
        (type(None), None),
    ],
)
def test_what_may_identify_a_unit(annotation: object, kind: KeyKind | None) -> None:
    assert kind_of(annotation) == kind


class Report(NamedTuple):
    bank: str
    quarter: Quarter
    color: Color
    pages: int = 0


def test_an_enum_stands_as_its_value_and_facts_are_left_out() -> None:
    units = UnitType("reports", Report, ["bank", "quarter", "color"])
    report = Report("RY", Quarter.Q2, Color.RED, 12)
    assert units.key_text(report) == '{"bank":"RY","color":"red","quarter":"second"}'
    assert units.dump(report) == {"bank": "RY", "quarter": "second", "color": "red", "pages": 12}
    assert units.load(units.dump(report)) == report
