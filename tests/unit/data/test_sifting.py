"""Rows by a schema: what is good, what each bad row broke, and what is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, ClassVar

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock as ps
from penstock import data
from penstock.definition.context import running_as
from penstock.testing import context


class Ad(dy.Schema):
    id = dy.Int64(primary_key=True, min=1)
    day = dy.Date(nullable=True)
    name = dy.String(nullable=False, max_length=3, regex="^a")
    kind = dy.Enum(["x", "y"], nullable=True)
    cost = dy.Float64(nullable=True, min=0)
    at = dy.Datetime(time_zone="UTC", nullable=True)

    @dy.rule()
    def dear(cls) -> pl.Expr:  # noqa: N805 - dataframely's rules are class methods
        return pl.col("cost") < 100


class Heard:
    """A running step that keeps what it is told."""

    counts: ClassVar[list[dict[str, int]]] = []
    measured: ClassVar[list[dict[str, Any]]] = []


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    step: Any = context(ps.Day(date(2024, 1, 1)))
    found = Heard()
    monkeypatch.setattr(found, "counts", [])
    monkeypatch.setattr(found, "measured", [])

    def count(**counts: int) -> None:
        found.counts.append(counts)

    def measure(**told: Any) -> None:
        found.measured.append(told)

    monkeypatch.setattr(step, "count", count)
    monkeypatch.setattr(step, "measure", measure)
    over: Callable[[], None] = running_as(step)
    yield found
    over()


def ads(**columns: list[Any]) -> pl.DataFrame:
    height = len(next(iter(columns.values())))
    usual: dict[str, list[Any]] = {
        "id": [str(n + 1) for n in range(height)],
        "day": ["2024-01-01"] * height,
        "name": ["a"] * height,
        "kind": ["x"] * height,
        "cost": ["1"] * height,
        "at": [None] * height,
    }
    return pl.DataFrame({**usual, **columns}, strict=False)


def rules(sifted: data.Sifted) -> dict[Any, str]:
    return dict(sifted.bad.select("id", "rules").iter_rows())


def test_text_becomes_the_schemas_types() -> None:
    good, bad = data.sift(
        ads(
            id=[" 1 ", "2.0", "3"],
            day=["2024-02-29", " ", ""],
            cost=["1e1", "0.5", ""],
            at=["2024-01-01T01:00:00+01:00", "2024-01-01 00:00:00.5", "2024-01-01"],
            more=["not", "in", "schema"],
        ),
        Ad,
    )
    assert bad.height == 0
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    assert good.columns == Ad.column_names()
    assert good["id"].to_list() == [1, 2, 3]
    assert good["day"].to_list() == [date(2024, 2, 29), None, None]
    assert good["cost"].to_list() == [10.0, 0.5, None]
    assert good["at"].to_list() == [midnight, midnight.replace(microsecond=500_000), midnight]


def test_bad_rows_are_as_they_came_and_say_what_they_broke() -> None:
    frame = ads(
        id=["1", "x", "3", "4", "5", "0"],
        day=["2024-01-01", "2024-02-30", "2024-01-01", None, None, None],
        name=["a", "a", None, "abcd", "b", "a"],
        kind=["x", "z", "x", "y", None, None],
        cost=["1", "q", "1", "-1", "100", "1"],
        line=[10, 20, 30, 40, 50, 60],
    )
    sifted = data.sift(frame, Ad)
    assert sifted.good["id"].to_list() == [1]
    assert rules(sifted) == {
        "x": "id|dtype, day|dtype, kind|dtype, cost|dtype",
        "3": "name|nullability",
        "4": "name|max_length, cost|min",
        "5": "dear, name|regex",
        "0": "id|min",
    }
    assert sifted.bad.drop("rules").rows() == frame.rows()[1:]
    assert sifted.bad.schema["line"] == pl.Int64


def test_each_rule_is_an_issue_of_its_kind_with_rows_of_its_own(heard: Heard) -> None:
    data.sift(ads(id=["1", "x", "y", "2", "2"], name=["a", "a", "a", None, "b"], cost=["-1", "1", "1", "1", "1"]), Ad)
    assert heard.counts == [{"filtered": 5}]
    (told,) = heard.measured
    assert (told["total"], told["valid"], told["table"]) == (5, 0, "Ad")
    assert {(one.rule, one.type, one.count, one.severity) for one in told["issues"]} == {
        ("cost|min", "out_of_range", 1, "warning"),
        ("id|dtype", "invalid_types", 2, "warning"),
        ("name|nullability", "missing_fields", 1, "warning"),
        ("name|regex", "inconsistent", 1, "warning"),
        ("primary_key", "duplicates", 2, "warning"),
    }
    sample = next(one.sample for one in told["issues"] if one.rule == "id|dtype")
    assert [row["id"] for row in sample] == ["x", "y"]


def test_a_perfect_frame_is_measured_too(heard: Heard) -> None:
    data.sift(ads(id=["1", "2"]), Ad, table="silver.ads")
    assert heard.counts == []
    assert heard.measured == [{"total": 2, "valid": 2, "issues": [], "table": "silver.ads"}]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("equal", [(1, 1.0), (3, 5.0)]),
        ("first", [(1, 1.0), (2, 1.0), (3, 5.0)]),
        ("last", [(1, 1.0), (2, 2.0), (3, 5.0)]),
        ("none", []),
    ],
)
def test_of_rows_with_one_key(keep: Any, kept: list[tuple[int, float]]) -> None:
    # 1 comes twice the same, 2 with two costs, 3 once well and once with a rule broken.
    frame = ads(id=["1", "2", "3", "1", "2", "3"], cost=["1", "1", "5", "1.0", "2", "-5"])
    sifted = data.sift(frame, Ad, keep=keep)
    assert sifted.good.select("id", "cost").sort("id").rows() == kept
    assert sifted.good.height + sifted.bad.height == 6
    assert "cost|min" in sifted.bad.filter(pl.col("cost") == "-5")["rules"][0]


def test_good_rows_keep_their_order() -> None:
    frame = ads(id=["3", "1", "2", "1", "5", "4"])
    assert data.sift(frame, Ad).good["id"].to_list() == [3, 1, 2, 5, 4]


class Typed(dy.Schema):
    whole = dy.Int32(nullable=True)
    money = dy.Decimal(10, 2, nullable=True)
    flag = dy.Bool(nullable=True)
    clock = dy.Time(nullable=True)
    plain = dy.Datetime(nullable=True)
    numbers = dy.List(dy.Int64(nullable=True), nullable=True)


@pytest.mark.parametrize(
    ("column", "values", "made", "unfit"),
    [
        ("whole", [1.0, 2.5, float("nan"), None, 3e9], [1, None], 3),
        ("whole", ["1", "1.0", "1.5", "9999999999", "0x1"], [1, 1], 3),
        ("money", ["1.5", "x", None], [Decimal("1.50"), None], 1),
        ("flag", ["Yes", "0", "T", "maybe", ""], [True, False, True, None], 1),
        ("clock", ["01:02:03", "25:00:00"], [time(1, 2, 3)], 1),
        ("plain", [datetime(2024, 1, 1, tzinfo=UTC)], [datetime(2024, 1, 1)], 0),  # noqa: DTZ001 - one without
        ("numbers", ["[1,2]", None], [[1, 2], None], 0),
    ],
)
def test_values_of_other_types(column: str, values: list[Any], made: list[Any], unfit: int) -> None:
    usual = {name: pl.Series(name, [None] * len(values), dtype=pl.String) for name in Typed.column_names()}
    sifted = data.sift(pl.DataFrame({**usual, column: values}, strict=False), Typed)
    assert sifted.good[column].to_list() == made
    assert sifted.bad["rules"].to_list() == [f"{column}|dtype"] * unfit


@given(
    st.lists(st.tuples(st.none() | st.text(max_size=4), st.none() | st.text("0123456789.-x", max_size=4)), max_size=12)
)
def test_every_row_is_on_one_side(values: list[tuple[str | None, str | None]]) -> None:
    frame = ads(id=[identity for identity, _ in values], cost=[cost for _, cost in values]) if values else ads(id=[])
    frame = frame.with_columns(pl.col(pl.Null).cast(pl.String)).with_row_index("line")
    good, bad = data.sift(frame, Ad)
    assert good.height + bad.height == frame.height
    assert Ad.is_valid(good)
    assert bad["rules"].str.len_chars().to_list() == [size for size in bad["rules"].str.len_chars() if size > 0]
    assert bad["line"].is_sorted()


@pytest.mark.parametrize(
    ("frame", "options", "error", "said"),
    [
        (ads(id=["1"]).drop("cost", "at"), {}, ps.InvalidData, "the rows lack cost, at; they have id"),
        (ads(id=["1"], rules=["x"]), {}, ps.DefinitionError, "column 'rules'"),
        (ads(id=["1"]), {"keep": "some"}, ps.DefinitionError, "equal, first, last, none"),
        (ads(id=[[1]]), {}, ps.InvalidData, "the column id is List"),
    ],
)
def test_what_cannot_be_sifted_is_said(frame: pl.DataFrame, options: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        data.sift(frame, Ad, **options)
