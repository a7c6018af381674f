"""What an operator set instead of the code's figures, worked into the shape."""

from __future__ import annotations

from decimal import Decimal

import pytest

from penstock.model.errors import SettingError
from penstock.model.override import Override, value_of
from penstock.model.shape import Policy, Shape, StepShape
from penstock.planning.overriding import overridden
from penstock.planning.retry import DEFAULTS

SHAPE = Shape(
    steps=(
        StepShape(name="fetch", policies={"network": Policy(attempts=2, first=1, limit=10), "data": Policy(2, 1, 1)}),
        StepShape(name="load", after=("fetch",), timeout=30.0),
    ),
    timeout=600.0,
)


def row(name: str, value: str, pipeline: str | None = "orders") -> Override:
    return Override(app="shop", pipeline=pipeline, name=name, value=value)


def policies(*rows: Override) -> list[dict[str, tuple[int, float, float, float, bool]]]:
    steps = overridden(SHAPE, rows).steps
    return [
        {name: (p.attempts, p.first, p.limit, p.factor, p.jitter) for name, p in step.policies.items()}
        for step in steps
    ]


def test_nothing_set_changes_nothing() -> None:
    assert overridden(SHAPE, []) is SHAPE
    same = overridden(SHAPE, [row("timeout", "10m"), row("quota.usd.limit", "5", None)])
    assert same is SHAPE
    assert same.code == SHAPE.hash


def test_a_changed_shape_knows_what_it_was_made_of_and_survives_json() -> None:
    changed = overridden(SHAPE, [row("timeout", "5m")])
    assert (changed.timeout, changed.code) == (300.0, SHAPE.hash)
    assert changed.hash != SHAPE.hash
    assert Shape.from_json(changed.to_json()) == changed
    assert Shape.from_json(SHAPE.to_json()) == SHAPE


def test_retry_alone_speaks_of_what_a_retry_alone_covers() -> None:
    fetch, load = policies(row("retry.attempts", "9"))
    assert {name: figures[0] for name, figures in fetch.items()} == {
        "network": 9,
        "timeout": 9,
        "unknown": 9,
        "data": 2,
    }
    assert fetch["network"][1:3] == (1, 10)
    assert load["network"] == (9, DEFAULTS["network"].first, DEFAULTS["network"].limit, 2.0, True)


def test_a_class_that_has_one_attempt_by_default_waits_when_it_gets_more() -> None:
    _, load = policies(row("retry.auth.attempts", "3"))
    assert load["auth"] == (3, 5, 300, 2.0, True)


def test_every_figure_of_a_retry_can_be_set() -> None:
    _, load = policies(
        row("retry.network.attempts", "4"),
        row("retry.network.first", "2m"),
        row("retry.network.limit", "1h"),
        row("retry.network.factor", "1.5"),
        row("retry.network.jitter", "False"),
    )
    assert load["network"] == (4, 120.0, 3600.0, 1.5, False)


def test_what_is_narrower_wins_in_whatever_order_the_rows_come() -> None:
    rows = [
        row("step.load.retry.attempts", "6"),
        row("retry.network.attempts", "5"),
        row("retry.attempts", "4"),
        row("retry.network.attempts", "3", None),
        row("retry.timeout.attempts", "7", None),
    ]
    for given in (rows, rows[::-1]):
        fetch, load = policies(*given)
        assert (fetch["network"][0], fetch["timeout"][0], fetch["unknown"][0]) == (5, 4, 4)
        assert (load["network"][0], load["timeout"][0]) == (6, 6)


def test_times_of_the_run_and_of_steps() -> None:
    rows = [
        row("timeout", "none"), row("step.load.timeout", "90"), row("step.fetch.timeout", "1.5s"),
        row("max_wait", "0"), row("remember", "2d", None),
    ]  # fmt: skip
    changed = overridden(SHAPE, rows)
    assert (changed.timeout, changed.max_wait, changed.remember) == (None, 0.0, 172_800.0)
    assert [step.timeout for step in changed.steps] == [1.5, 90.0]


@pytest.mark.parametrize(
    ("name", "value", "pipeline", "says"),
    [
        ("retry.attempts", "0", "orders", "a whole number from 1 to 1000"),
        ("retry.attempts", "٣", "orders", "a whole number"),
        ("retry.attempts", "1001", "orders", "a whole number"),
        ("retry.attempts", "nan", "orders", "a whole number"),
        ("retry.first", "-1", "orders", "a time: seconds such as 90"),
        ("retry.first", "5 weeks", "orders", "a time"),
        ("retry.limit", "inf", "orders", "a time"),
        ("retry.limit", "99999999999d", "orders", "at most 366d"),
        ("retry.factor", "0.5", "orders", "from 1 to 1000"),
        ("retry.factor", "1e3", "orders", "from 1 to 1000"),
        ("retry.jitter", "yes", "orders", "true or false"),
        ("timeout", "0", "orders", "above 0, or none"),
        ("step.load.timeout", "", "orders", "a time"),
        ("quota.usd.limit", "NaN", None, "a number of 0 or more"),
        ("quota.usd.limit", "-1", None, "a number of 0 or more"),
        ("quota.usd.limit", "1", "orders", "without a pipeline"),
        ("quota.usd.most", "1", None, "quota.NAME.limit|reserve"),
        ("retry.netwrk.attempts", "2", "orders", "did you mean network?"),
        ("retry.tries", "2", "orders", "no such name"),
        ("timeuot", "2", "orders", "did you mean timeout?"),
        ("step.load.remember", "2", "orders", "no such name"),
        ("step.load.timeout", "2", None, "say whose with --pipeline"),
        ("step.laod.timeout", "2", "orders", "the pipeline has no step laod; it has fetch, load"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_with_the_way_out(
    name: str, value: str, pipeline: str | None, says: str
) -> None:
    with pytest.raises(SettingError) as raised:
        overridden(SHAPE, [row(name, value, pipeline)])
    message = str(raised.value)
    whose = "pipeline orders" if pipeline else "app shop"
    assert message.startswith(f"Override {name} = {value!r} of {whose}: ")
    assert says in message
    assert message.endswith(
        f"To take it away: penstock overrides unset {name}{' --pipeline orders' if pipeline else ''}"
    )


def test_a_quotas_figures_are_numbers() -> None:
    assert value_of(row("quota.llm.usd.limit", " 12.50 ", None)) == Decimal("12.50")
    assert value_of(row("quota.usd.reserve", "0", None)) == 0
