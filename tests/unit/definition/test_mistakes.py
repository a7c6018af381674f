"""What the author of a pipeline sees who has made a mistake. Each message names the place and the way out."""
# Annotations are read when a step is made, so this module has none that are postponed.

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import penstock as ps

if TYPE_CHECKING:
    from decimal import Decimal as Writer

HERE = Path(__file__).resolve().parent


class Report(NamedTuple):
    bank_id: int
    quarter: str


class Frame:
    """Stands for a DataFrame: nothing that JSON could hold."""


class Llm: ...


class Settings: ...


class Number(NamedTuple):
    value: float


@dataclass
class Changing:
    bank_id: int


def fresh(name: str = "reports") -> ps.Pipeline[Report]:
    return ps.Pipeline(name, Report)


def nothing_gives_a_parameter() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report, llm: Llm) -> None: ...

    ps.App("aegis", [reports])


def key_is_not_a_field() -> None:
    ps.Pipeline("reports", Report, key=("bank_id", "quater"))


def lane_is_not_a_field() -> None:
    ps.Pipeline("reports", Report, lane="bank_symbol")


def order_is_not_a_field() -> None:
    ps.Pipeline("reports", Report, order=("-quarters",))


def frame_returned() -> None:
    reports = fresh()

    @reports.step
    async def read(report: Report) -> Frame: ...  # type: ignore[empty-body]


def output_of_a_step_that_may_fail() -> None:
    reports = fresh()

    @reports.step(on_failure="continue")
    async def pff(report: Report) -> int:
        return 1

    @reports.step
    async def validate(rows: int = pff.output) -> None: ...


def output_in_a_closing_step() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> int:
        return 1

    @reports.step(when="always")
    async def close(rows: int = write.output) -> None: ...


def annotation_under_type_checking() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report, writer: "Writer") -> None: ...


def no_type() -> None:
    reports = fresh()

    @reports.step
    async def write(ctx) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]


def database_in_a_plain_def() -> None:
    reports = fresh()

    @reports.step
    def load(db: ps.Transaction) -> None: ...


def missing_file() -> None:
    ps.Pipeline("reports", Report, gaps=ps.SqlGaps("sql/wnted.sql"))


def two_steps_of_one_name() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> None: ...

    @reports.step(name="write")
    async def again(report: Report) -> None: ...


def unit_without_fields() -> None:
    ps.Pipeline("daily", int)


def unit_that_changes() -> None:
    ps.Pipeline("reports", Changing)


def key_of_a_float() -> None:
    ps.Pipeline("numbers", Number)


def context_of_another_unit() -> None:
    reports = fresh()

    @reports.step
    async def write(ctx: ps.Context[ps.Day]) -> None: ...

    ps.App("aegis", [reports])


def output_of_another_pipelines_step() -> None:
    reports, indicators = fresh(), fresh("indicators")

    @reports.step
    async def collect(report: Report) -> int:
        return 1

    @indicators.step
    async def calculate(n: int = collect.output) -> None: ...


def app_made_before_its_steps() -> None:
    ps.App("aegis", [fresh()])


def two_resources_of_one_type() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report, llm: Llm) -> None: ...

    ps.App("aegis", [reports], resources=[Llm, Llm()])


def two_pipelines_of_one_name() -> None:
    ps.App("aegis", [fresh(), fresh()])


def direct_call_without_an_output() -> None:
    reports = fresh()

    @reports.step
    async def read(report: Report) -> str:
        return report.quarter

    @reports.step
    def shout(text: str = read.output) -> str:
        return text.upper()

    shout()


def resource_that_does_not_say_what_it_gives() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> None: ...

    def open_llm():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return Llm()

    ps.App("aegis", [reports], resources=[open_llm])


def resource_that_asks_for_too_much() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> None: ...

    def open_llm(settings: Settings) -> Llm:
        return Llm()

    ps.App("aegis", [reports], resources=[open_llm])


def closing_step_after_another() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> None: ...

    @reports.step(when="always", after=write)
    async def close() -> None: ...


def batch_of_nothing() -> None:
    ps.Pipeline("reports", Report, batch=0)


def async_computation() -> None:
    reports = fresh()

    @reports.step(cpu=True)
    async def compute(report: Report) -> None: ...


def context_in_another_process() -> None:
    reports = fresh()

    @reports.step(cpu=True)
    def compute(ctx: ps.Context[Report]) -> None: ...


def resource_in_another_process() -> None:
    reports = fresh()

    @reports.step(cpu=True)
    def compute(report: Report, llm: Llm) -> None: ...

    ps.App("aegis", [reports], resources=[Llm])


def event_that_is_not_there() -> None:
    reports = fresh()

    @reports.step
    async def write(report: Report) -> None: ...

    ps.App("aegis", [reports]).on("execution.ended")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


SEEN: dict[Callable[[], None], str] = {
    nothing_gives_a_parameter: (
        "reports.write: nothing gives its parameter 'llm: Llm'. Add what makes it to App('aegis', resources=[...]): a "
        "value, a class, or a function that yields one. Here a step can ask for Report, ps.Context, ps.Transaction, or "
        "an earlier step's output (x: T = step.output)."
    ),
    key_is_not_a_field: (
        "Pipeline('reports'): key='quater' is not a field of Report; did you mean 'quarter'? Its fields are bank_id, "
        "quarter."
    ),
    lane_is_not_a_field: (
        "Pipeline('reports'): lane='bank_symbol' is not a field of Report. Its fields are bank_id, quarter."
    ),
    order_is_not_a_field: (
        "Pipeline('reports'): order='quarters' is not a field of Report; did you mean 'quarter'? Its fields are "
        "bank_id, quarter."
    ),
    frame_returned: (
        "reports.read returns Frame, which cannot be kept as JSON. Rows do not travel through the ledger: put them in "
        "a table (penstock.data.load) or a file (ctx.workdir) and return a small value that says where they are, such "
        "as a dataclass or penstock.data.Loaded."
    ),
    output_of_a_step_that_may_fail: (
        "reports.validate takes pff.output, but pff may fail and let the run go on (on_failure='continue'), so there "
        "may be none. Say after=pff and read ctx.outcome(pff), which has the state and the error too."
    ),
    output_in_a_closing_step: (
        "reports.close takes write.output, but is a closing step (when='always'), which runs whatever became of write, "
        "so there may be none. Leave the parameter out and read ctx.outcome(write), which has the state and the error "
        "too."
    ),
    annotation_under_type_checking: (
        "reports.write: the annotation 'Writer' cannot be read at run time. It is imported under 'if TYPE_CHECKING:' "
        "or defined inside a function; Penstock fills a step's parameters by their types, so import it plainly (ruff: "
        'runtime-evaluated-decorators = ["penstock.Pipeline.step"]).'
    ),
    no_type: (
        "reports.write: the parameter 'ctx' has no type, and a step's parameters are filled by their types. For the "
        "run itself write 'ctx: ps.Context[Report]'."
    ),
    database_in_a_plain_def: (
        "reports.load is a plain def and asks for the step's transaction, which is async. Make it 'async def', and "
        "compute in a plain def step before it or in asyncio.to_thread."
    ),
    missing_file: (
        f"Pipeline('reports'): wanted='sql/wnted.sql': there is no such file in {HERE}; did you mean 'sql/wanted.sql'? "
        f"A .sql path is looked up beside the module that names it."
    ),
    two_steps_of_one_name: (
        "reports has two steps called 'write': give one of them another name, @reports.step(name=...)."
    ),
    unit_without_fields: (
        "Pipeline('daily'): unit=int has no named fields. A unit is a NamedTuple, a frozen dataclass or a frozen "
        "pydantic model, so that its key has column names: class Key(NamedTuple): value: int"
    ),
    unit_that_changes: (
        "Pipeline('reports'): Changing can be changed after it is made, so it cannot be a key. Freeze it: "
        "@dataclass(frozen=True), or class Changing(BaseModel, frozen=True)."
    ),
    key_of_a_float: (
        "Pipeline('numbers'): Number.value is float, which cannot identify a unit. A key's fields are int, str, bool, "
        "date, datetime, UUID, Decimal or an enum of strings; name them with key=(...) and leave value out."
    ),
    context_of_another_unit: "reports.write: ctx is a Context[Day], but the unit of reports is Report.",
    output_of_another_pipelines_step: (
        "indicators.calculate comes after reports.collect, a step of another pipeline. Steps are ordered within a "
        "pipeline; to run indicators when reports has ended, say Pipeline('indicators', after=reports)."
    ),
    app_made_before_its_steps: (
        "reports has no steps when App('aegis') is made. Import the module that has its @reports.step functions before "
        "the app, or make the app last."
    ),
    two_resources_of_one_type: (
        "App('aegis'): both Llm and Llm give Llm. Resources are told apart by type: wrap one in a class of its own."
    ),
    two_pipelines_of_one_name: ("App('aegis'): two pipelines are called 'reports'; a run is found again by that name."),
    direct_call_without_an_output: (
        "read.output is filled in when Penstock runs the step; in a direct call pass the value."
    ),
    resource_that_does_not_say_what_it_gives: "open_llm must say what it gives, such as -> AsyncIterator[Client].",
    resource_that_asks_for_too_much: (
        "App('aegis'), the resource that gives Llm: nothing gives its parameter 'settings: Settings'. Add what makes "
        "it to App('aegis', resources=[...]): a value, a class, or a function that yields one. It can ask for Llm."
    ),
    closing_step_after_another: (
        "reports.close is a closing step (when='always'), which runs when all else is over: leave out after=."
    ),
    batch_of_nothing: ("Pipeline('reports'): batch=0 carries nothing; it is how many units one run takes, 1 or more."),
    async_computation: "reports.compute: cpu=True runs a plain function in a worker process; make it 'def'.",
    context_in_another_process: (
        "reports.compute: cpu=True runs in a worker process, which is given only units, params, settings and outputs; "
        "'ctx: Context[Report]' cannot go there. Ask for it in a step before or after."
    ),
    resource_in_another_process: (
        "reports.compute: cpu=True runs in a worker process, which is given only units, params, settings and outputs; "
        "'llm: Llm' cannot go there. Use it in a step before or after."
    ),
    event_that_is_not_there: (
        "App('aegis').on('execution.ended'): there is no such event; there are execution.completed, execution.failed."
    ),
}


@pytest.mark.parametrize("mistake", SEEN, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_told_on_import(mistake: Callable[[], None]) -> None:
    with pytest.raises((ps.DefinitionError, TypeError)) as caught:
        mistake()
    assert str(caught.value) == SEEN[mistake]
