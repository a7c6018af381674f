"""Pipelines: a named DAG of steps, and the rule that finds its gaps."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, cast, overload

from typing_extensions import TypedDict, Unpack
from typing_extensions import TypeVar as DefaultTypeVar

from penstock.definition.costs import Cost, check_costs
from penstock.definition.cron import check_cron
from penstock.definition.step import AsyncStep, PlainStep, Retries, Step, StepDecorator
from penstock.definition.units import UnitType
from penstock.model.errors import DefinitionError
from penstock.model.names import check_name
from penstock.model.quota import Quota
from penstock.model.shape import OnFailure, When
from penstock.model.spelling import did_you_mean
from penstock.model.values import DateGaps, Day, Seconds, SqlGaps, seconds

U = DefaultTypeVar("U", default=Day)
T = TypeVar("T")
P = ParamSpec("P")

Gaps: TypeAlias = SqlGaps | DateGaps | Callable[..., Any]


class PipelineOptions(TypedDict, Generic[U], total=False):
    """What a pipeline can say of itself; `Pipeline` explains each."""

    gaps: SqlGaps | DateGaps | Callable[..., Iterable[U]]
    key: Sequence[str]
    lane: str | tuple[str, str]
    order: str | Sequence[str]
    date: str
    org: str
    instance: str | tuple[str, str]
    cost: Mapping[Quota, Cost]
    batch: int
    schedule: str
    after: Pipeline[Any] | Sequence[Pipeline[Any]]
    timezone: str
    params: type[Any]
    retry: Retries
    timeout: Seconds
    max_wait: Seconds
    remember: Seconds
    version: int


class Pipeline(Generic[U]):
    """A named DAG of steps, and the rule that finds its gaps.

    Args:
        name: Unique in the app.
        unit: The class of what should exist: a NamedTuple, a frozen dataclass or a frozen pydantic model.
        gaps: `SqlGaps`, `DateGaps`, or a function that yields units; without, units come from a trigger only.
        key: The unit's identifying fields; all by default. The rest are facts seen at planning.
        lane: The field whose equal values must not overlap, or `(space, field)` to share lanes between pipelines.
        order: Fields, `-` before one for descending.
        date: The field that a plan's `start` and `end` bound.
        org: The field that scopes tenants: who may see only one organization sees the runs whose units say so.
        instance: The field that shows as `pipeline_id` in the API, alone or with the one that is its name:
            `("feed_id", "name")`.
        cost: What one unit costs, by quota: an amount, or the name of a field that holds a number, or text that names
            operations of the quota joined by `+`. Plans are priced and admitted by it.
        batch: How many units of one lane a run carries at most.
        schedule: A cron expression: planned and applied at its times while `penstock serve` is there. A time that was
            missed loses nothing, since the gap is still there.
        after: Planned when a plan of that pipeline is done, by `penstock serve` as well.
        timezone: Of the schedule, and of dates.
        params: The class of what a trigger may say.
        retry: A `Retry` for network, timeout and unknown failures, or one per class of error.
        timeout: Seconds a run may take from its first start.
        max_wait: The longest wait, in seconds, that keeps the lane; 15 minutes by default.
        remember: The longest that a failure, or a completion that does not show up, holds a unit back, in seconds;
            7 days by default, 0 forgets at once.
        version: Raised when old output should be made again.

    Raises:
        DefinitionError: Something is written wrong; the message names it.
    """

    @overload
    def __init__(self: Pipeline[Day], name: str, **options: Unpack[PipelineOptions[Day]]) -> None: ...
    @overload
    def __init__(self, name: str, unit: type[U], **options: Unpack[PipelineOptions[U]]) -> None: ...
    def __init__(self, name: str, unit: Any = Day, **options: Any) -> None:
        self._define(name, unit, **options)

    def _define(
        self,
        name: str,
        unit: type[Any],
        *,
        gaps: Any = None,
        key: Sequence[str] | None = None,
        lane: str | tuple[str, str] | None = None,
        order: str | Sequence[str] = (),
        date: str | None = None,
        org: str | None = None,
        instance: str | tuple[str, str] | None = None,
        cost: Mapping[Quota, Cost] | None = None,
        batch: int = 1,
        schedule: str | None = None,
        after: Pipeline[Any] | Sequence[Pipeline[Any]] = (),
        timezone: str | None = None,
        params: type[Any] | None = None,
        retry: Retries | None = None,
        timeout: Seconds | None = None,
        max_wait: Seconds = 900,
        remember: Seconds | None = None,
        version: int = 1,
    ) -> None:
        check_name("Pipeline", name)
        self.name, self.unit, self.params, self.batch = name, unit, params, batch
        self.units = UnitType(name, unit, key)
        self.key = self.units.key_fields
        self.gaps: Gaps | None = DateGaps() if gaps is None and unit is Day else gaps
        self.space, self.lane = (name, lane) if isinstance(lane, str | None) else lane
        check_name(f"Pipeline({name!r}), the lanes' space", self.space)
        self.order = (order,) if isinstance(order, str) else tuple(order)
        self.date = "day" if date is None and unit is Day else date
        self.org, self.timezone = org, timezone
        self.instance, self.instance_name = _instance(instance)
        self.schedule = None if schedule is None else check_cron(name, schedule)
        self.cost: dict[Quota, Cost] = check_costs(name, self.units, cost or {})
        self.after = (after,) if isinstance(after, Pipeline) else tuple(after)
        self.retry, self.version = retry, version
        self.timeout = None if timeout is None else seconds(timeout)
        self.max_wait = seconds(max_wait)
        self.remember = None if remember is None else seconds(remember)
        self.steps: dict[str, Step[Any]] = {}
        roles: dict[str, list[str | None]] = {
            "lane": [self.lane],
            "order": [o.lstrip("-") for o in self.order],
            "date": [self.date],
            "org": [org],
            "instance": [self.instance, self.instance_name],
        }
        for role, names in roles.items():
            for field in names:
                if field is not None:
                    self.units.check_field(name, role, field)
        if timezone is not None:
            _check_zone(name, timezone)
        if batch < 1:
            msg = f"Pipeline({name!r}): batch={batch} carries nothing; it is how many units one run takes, 1 or more."
            raise DefinitionError(msg)
        self.folder = _folder_of_caller()
        if isinstance(gaps, SqlGaps):
            for what, sql in (("wanted", gaps.wanted), ("existing", gaps.existing)):
                if is_file(sql):
                    _check_file(name, what, self.folder, str(sql))

    def sql(self, text: str | Path) -> str:
        """The SQL text itself, read from its file when it names one."""
        return (self.folder / str(text)).read_text(encoding="utf-8") if is_file(text) else str(text)

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r})"

    @overload
    def step(self, handler: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncStep[P, T]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def step(self, handler: Callable[P, T], /) -> PlainStep[P, T]: ...
    @overload
    def step(
        self,
        /,
        *,
        name: str | None = None,
        after: Step[Any] | Sequence[Step[Any]] = (),
        when: When = "ok",
        on_failure: OnFailure = "stop",
        parallel: int = 1,
        retry: Retries | None = None,
        timeout: Seconds | None = None,
        cpu: bool = False,
    ) -> StepDecorator: ...
    def step(
        self,
        handler: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        after: Step[Any] | Sequence[Step[Any]] = (),
        when: When = "ok",
        on_failure: OnFailure = "stop",
        parallel: int = 1,
        retry: Retries | None = None,
        timeout: Seconds | None = None,
        cpu: bool = False,
    ) -> Any:
        """Make a function a step.

        Args:
            handler: An `async def`, or a `def`, which runs in a thread. Its parameters are filled by their types;
                what it returns is its output, kept as JSON.
            name: The function's name by default.
            after: Steps that come before without giving their output.
            when: `failed` or `always` makes a closing step, run when all else is over.
            on_failure: `stop` the run, `continue` with the dependents, or `skip_downstream`.
            parallel: How many units of a batch at once, for a step that takes one unit.
            retry: Instead of the pipeline's.
            timeout: Seconds for one attempt.
            cpu: Run a `def` in a worker process.
        """

        def register(handler: Callable[..., Any]) -> Step[Any]:
            step_name = name or handler.__name__
            check_name(f"A step of {self.name}", step_name)
            if step_name in self.steps:
                msg = (
                    f"{self.name} has two steps called {step_name!r}: give one of them another name, "
                    f"@{self.name}.step(name=...)."
                )
                raise DefinitionError(msg)
            kind: Any = AsyncStep if inspect.iscoroutinefunction(handler) else PlainStep
            step = cast(
                "Step[Any]",
                kind(
                    self,
                    handler,
                    name=step_name,
                    after=(after,) if isinstance(after, Step) else tuple(after),
                    when=when,
                    on_failure=on_failure,
                    parallel=parallel,
                    retry=retry,
                    timeout=timeout,
                    cpu=cpu,
                ),
            )
            self.steps[step_name] = step
            return step

        return register if handler is None else register(handler)


def _instance(given: str | tuple[str, str] | None) -> tuple[str | None, str | None]:
    return (given, None) if isinstance(given, str | None) else given


def _check_zone(pipeline: str, timezone: str) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError):
        hint = did_you_mean(timezone, available_timezones(), quoted=True)
        msg = f"Pipeline({pipeline!r}): there is no time zone {timezone!r}{hint}"
        raise DefinitionError(msg) from None


def is_file(sql: str | Path | None) -> bool:
    """Whether this names a file rather than being SQL."""
    return sql is not None and str(sql).endswith(".sql")


def _folder_of_caller() -> Path:
    """The folder of the first module outside this one, the one that made the pipeline."""
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to know who called, as logging and warnings do
    while frame.f_globals.get("__name__") == __name__ and frame.f_back is not None:
        frame = frame.f_back
    return Path(frame.f_globals.get("__file__", "x")).resolve().parent


def _check_file(pipeline: str, what: str, folder: Path, path: str) -> None:
    if not (folder / path).is_file():
        found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.sql"))
        hint = did_you_mean(path, found, quoted=True)
        msg = (
            f"Pipeline({pipeline!r}): {what}={path!r}: there is no such file in {folder}{hint} "
            f"A .sql path is looked up beside the module that names it."
        )
        raise DefinitionError(msg)
