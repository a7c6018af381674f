"""The block `etl:` of penstock.yaml, as an operator's file of another system has it."""

from pathlib import Path

import pytest

from penstock.config import load_settings
from penstock.definition.pipeline import Pipeline
from penstock.definition.shaping import shape_of
from penstock.model.errors import SettingError
from penstock.model.override import Override
from penstock.model.shape import PLAIN_RETRY, Shape
from penstock.model.values import Retry
from penstock.planning.defaulting import Defaults, defaulted
from penstock.planning.overriding import overridden
from penstock.planning.retry import DEFAULTS, delay

AS_IT_STANDS = """\
etl:
  temporal:
    namespace: "platform-etl"
    task_queue: "etl-workers"
  workers:
    max_concurrent_activities: 10
    activity_timeout: 30m
  retry:
    max_attempts: 5
    initial_interval: 1s
    max_interval: 1m
    backoff_coefficient: 2
"""


def written(folder: Path, text: str) -> Path:
    (folder / "penstock.yaml").write_text(text)
    return folder


def refused(folder: Path, old: str, new: str) -> str:
    assert old in AS_IT_STANDS
    with pytest.raises(SettingError) as caught:
        load_settings(environ={}, folder=written(folder, AS_IT_STANDS.replace(old, new)))
    return str(caught.value).removeprefix(f"{folder / 'penstock.yaml'}, ")


def test_every_value_is_read(tmp_path: Path) -> None:
    block = load_settings(environ={}, folder=written(tmp_path, AS_IT_STANDS)).etl
    assert block is not None
    assert (block.namespace, block.task_queue) == ("platform-etl", "etl-workers")
    assert (block.max_concurrent_activities, block.activity_timeout) == (10, 1800.0)
    assert (block.max_attempts, block.initial_interval, block.max_interval, block.backoff_coefficient) == (5, 1, 60, 2)


def test_without_the_block_nothing_changes(tmp_path: Path) -> None:
    settings = load_settings(environ={}, folder=written(tmp_path, "grace: 5\n"))
    assert (settings.etl, settings.lanes) == (None, 4)
    assert load_settings(environ={}, folder=written(tmp_path, "etl:\n  retry:\n")).lanes == 4


@pytest.mark.parametrize(
    ("text", "environ", "lanes", "source"),
    [
        (AS_IT_STANDS, {}, 10, "penstock.yaml, etl.workers.max_concurrent_activities"),
        (AS_IT_STANDS + "lanes: 3\n", {}, 3, "penstock.yaml"),
        (AS_IT_STANDS, {"PENSTOCK_LANES": "7"}, 7, "environment PENSTOCK_LANES"),
    ],
)
def test_activities_at_once_are_the_lanes_where_nothing_else_says_so(
    tmp_path: Path, text: str, environ: dict[str, str], lanes: int, source: str
) -> None:
    settings = load_settings(environ=environ, folder=written(tmp_path, text))
    assert settings.lanes == lanes
    assert settings.sources["lanes"].endswith(source)


def test_each_value_is_shown_with_its_source(tmp_path: Path) -> None:
    file = str(tmp_path / "penstock.yaml")
    shown = load_settings(environ={}, folder=written(tmp_path, AS_IT_STANDS)).shown()
    assert [row for row in shown if row[0].startswith("etl.")] == [
        ("etl.temporal.namespace", "platform-etl", file),
        ("etl.temporal.task_queue", "etl-workers", file),
        ("etl.workers.max_concurrent_activities", "10", file),
        ("etl.workers.activity_timeout", "30m", file),
        ("etl.retry.max_attempts", "5", file),
        ("etl.retry.initial_interval", "1s", file),
        ("etl.retry.max_interval", "1m", file),
        ("etl.retry.backoff_coefficient", "2", file),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_attempts", "max_attempt", "line 9: etl.retry: there is no 'max_attempt'; did you mean max_attempts?"),
        ("retry:", "retries:", "line 8: etl: there is no 'retries'; did you mean retry?"),
        ("  temporal:", "  max_interval: 1m\n  temporal:", "line 2: etl: there is no 'max_interval'; it belongs under"),
        ("30m", "30 min", "line 7: etl.workers.activity_timeout=30 min is no time, such as 1s, 30m or 1h30m; did you"),
        (": 1s", ": 1", "line 10: etl.retry.initial_interval=1 is no time, such as 1s, 30m or 1h30m; did you mean 1s?"),
        (": 1s", ": soon", "line 10: etl.retry.initial_interval=soon is no time, such as 1s, 30m or 1h30m."),
        ("1m\n", "500ms\n", "line 11: etl.retry.max_interval=500ms is less than initial_interval, 1s; did you mean 1s"),
        ("30m", "0s", "line 7: etl.workers.activity_timeout=0s is out of range: above 0 and at most 366d"),
        (": 10", ": 9.7", "line 6: etl.workers.max_concurrent_activities=9.7 is no whole number; did you mean 10?"),
        (
            ": 10",
            ": 0",
            "line 6: etl.workers.max_concurrent_activities=0 is out of range: 1 to 10,000, and the",
        ),
        (": 5", ": 0", "line 9: etl.retry.max_attempts=0 is out of range: 1 to 1,000, and the nearest is 1."),
        (": 5", ": true", "line 9: etl.retry.max_attempts=True is no whole number."),
        (
            "coefficient: 2",
            "coefficient: 0.5",
            "line 12: etl.retry.backoff_coefficient=0.5 is out of range: 1 to",
        ),
        ("coefficient: 2", "coefficient: .nan", "line 12: etl.retry.backoff_coefficient=nan is no number"),
        ('"etl-workers"', "7", "line 4: etl.temporal.task_queue=7 is no name, such as task-queue-1; did you mean '7'?"),
        ("30m", "[30m]", "line 7: etl.workers.activity_timeout=['30m'] is no time"),
    ],
)
def test_what_is_wrong_names_itself_its_line_and_the_nearest_right_one(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert refused(tmp_path, old, new).startswith(message)


def test_a_block_that_is_no_mapping_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"line 2: etl: is a mapping with temporal, workers, retry; this is 5\."):
        load_settings(environ={}, folder=written(tmp_path, "lanes: 2\netl: 5\n"))
    with pytest.raises(SettingError, match=r"line 2: etl.retry: is a mapping with max_attempts"):
        load_settings(environ={}, folder=written(tmp_path, "etl:\n  retry: five\n"))


def two_steps() -> Shape:
    pipeline = Pipeline("days", retry={"network": Retry(attempts=2, first=9)})

    @pipeline.step
    async def plain() -> None: ...

    @pipeline.step(timeout=5, retry=Retry(attempts=7))
    async def patient() -> None: ...

    return shape_of(pipeline)


def test_the_code_is_stronger_than_the_block() -> None:
    shape = two_steps()
    defaults = Defaults(timeout=1800, attempts=5, first=1, limit=60, factor=2)
    plain, patient = defaulted(shape, defaults).steps
    assert (plain.timeout, patient.timeout) == (1800, 5)
    assert (plain.policies["network"].attempts, plain.policies["network"].first) == (2, 9)
    assert [delay(plain.policies["timeout"], n, "") for n in (5,)] == [None]
    assert [int(delay(plain.policies["unknown"], n, "") or 0) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert [patient.policies[name].attempts for name in PLAIN_RETRY if name != "network"] == [7, 7]
    assert "rate_limit" not in plain.policies, "a server's time is no backoff"


def test_what_the_block_leaves_out_stays_as_it_was() -> None:
    shape = two_steps()
    assert defaulted(shape, Defaults()) is shape
    policy = defaulted(shape, Defaults(attempts=2)).steps[0].policies["timeout"]
    assert (policy.attempts, policy.first, policy.limit) == (2, DEFAULTS["timeout"].first, DEFAULTS["timeout"].limit)
    long = defaulted(shape, Defaults(first=600)).steps[0].policies["timeout"]
    assert delay(long, 1, "") is not None
    assert 600 <= (delay(long, 1, "") or 0) <= 660


def test_a_changed_block_is_no_changed_definition_and_overrides_are_stronger() -> None:
    shape = two_steps()
    one, two = defaulted(shape, Defaults(attempts=5)), defaulted(shape, Defaults(attempts=6))
    assert one.hash != two.hash
    assert one.code == two.code == shape.hash
    row = Override(app="a", pipeline=None, name="retry.timeout.attempts", value="9")
    set_since = overridden(one, [row])
    assert set_since.steps[0].policies["timeout"].attempts == 9
    assert set_since.code == shape.hash
