"""Names and values that would end a literal, an identifier or a placeholder, through every SQL that is composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, cast

import psycopg
import pytest
from psycopg.rows import tuple_row
from pydantic import ConfigDict, create_model

import penstock as ps
from penstock.ledger.gap_query import literal, quote
from penstock.model.key import Key
from penstock.model.printable import folder_name
from penstock.testing import database

HOSTILE = (
    "quo'te",
    'dou"ble',
    "'; drop table canary; --",
    '"; drop table canary; --',
    "100%",
    "%(start",
    "%s",
    "brace {0} {wanted}",
    "back\\slash",
    "$$ dollar $$",
    "ünïcödé 漢字 🏦",
    "close)paren",
    "/* comment */ -- line",
    "../../etc",
)
EVERY = (*HOSTILE, "%(start)s")  # which a query of the user's own cannot say: docs/decisions/0009
make: Any = create_model
Hostile: Any = make("Hostile", __config__=ConfigDict(frozen=True), **dict.fromkeys(HOSTILE, (str, ...)))
columns = ", ".join(f"""'{name.replace("'", "''")}' || n as "{name.replace('"', '""')}\"""" for name in HOSTILE)
WANTED = f"select {columns} from generate_series(1, 2) n"
price = ps.Quota(HOSTILE[2], 1000, per="day")


def pipeline(name: str, gaps: Any, **more: Any) -> Any:
    made: Any = ps.Pipeline(
        name, Hostile, gaps=gaps, key=HOSTILE, order=[f"-{HOSTILE[1]}", *HOSTILE[2:]], cost={price: 1}, **more
    )

    async def step(ctx: ps.Context[Hostile], unit: Hostile) -> str:  # pyright: ignore[reportInvalidTypeForm, reportUnknownParameterType]
        hostile: Any = cast("Any", unit)
        ctx.log.info(HOSTILE[2], **{HOSTILE[1]: HOSTILE[0]})
        await ctx.once(HOSTILE[4], said)
        (ctx.workdir / "made").touch()
        return str(getattr(hostile, HOSTILE[0]))

    made.step(name=HOSTILE[3])(step)
    return made


async def said() -> str:
    return HOSTILE[3]


by_sql = pipeline(HOSTILE[2], ps.SqlGaps(WANTED, f"{WANTED} limit 0"), lane=(HOSTILE[0], HOSTILE[5]))
by_version = pipeline(HOSTILE[4], ps.SqlGaps(WANTED), lane=HOSTILE[6], batch=2)
listed = pipeline(HOSTILE[6], lambda: [Hostile(**{name: name for name in HOSTILE})])
app = ps.App(HOSTILE[13], [by_sql, by_version, listed])


@pytest.mark.parametrize("chosen", [by_sql, by_version, listed], ids=["sql", "without existing", "listed"])
def test_hostile_names_are_only_names(
    chosen: Any, database_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    with database(app) as db:
        db.execute("create table canary (n int)")
        where = {} if chosen is listed else {HOSTILE[11]: f"{HOSTILE[11]}2", HOSTILE[2]: f"{HOSTILE[2]}2"}
        plan = app.plan(chosen, where=where)
        assert len(plan) == 1
        summary = app.apply(plan)
        assert summary.counts == {"completed": 1}, summary
        assert len(app.plan(chosen)) == (2 if chosen is by_sql else 1 if chosen is by_version else 0)
        assert db.rows("select count(*)::int as n from canary") == [{"n": 0}], "nobody dropped it"
        (unit,) = db.rows("select app, pipeline, key from penstock.v1_units where verdict = 'completed'")
        assert (unit["app"], unit["pipeline"]) == (app.name, chosen.name)
        assert set(unit["key"]) == set(HOSTILE)
        (log,) = db.rows("select step, message, fields from penstock.v1_logs")
        assert log == {"step": HOSTILE[3], "message": HOSTILE[2], "fields": {HOSTILE[1]: HOSTILE[0]}}
        home = app.settings.home if app.settings else None
        assert home is not None
        work = home / "work"
        assert [path.name for path in work.iterdir()] == [folder_name(app.name)]
        assert not (home.parent / "etc").exists()


def test_python_and_sql_write_the_same_key(database_server: str) -> None:
    key = Key(dict.fromkeys(EVERY, "text"))
    body = {name: name for name in EVERY}
    sql = key.sql(lambda name: f"w.{quote(name)}")
    row = ", ".join(f"{literal(name)}::text as {quote(name)}" for name in EVERY)
    with psycopg.connect(database_server, row_factory=tuple_row) as connection:
        found = connection.execute(f"select {sql} from (select {row}) w where %(x)s".encode(), {"x": True}).fetchone()
        assert found == (key.text(body),)
        with pytest.raises(psycopg.Error):  # the control: unquoted, the first of them ends the statement
            connection.execute(f"select '{HOSTILE[0]}'".encode())


@pytest.mark.parametrize("text", EVERY)
def test_identifiers_and_literals_stay_whole(text: str, database_server: str) -> None:
    with psycopg.connect(database_server, row_factory=tuple_row) as connection:
        statement = f"select {literal(text)} as {quote(text)} where %(x)s"
        cursor = connection.execute(statement.encode(), {"x": True})
        assert cursor.fetchone() == (text,)
        assert [column.name for column in cursor.description or ()] == [text]


class Long(NamedTuple):
    name: str


def test_long_values_and_long_fields(database_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of 100 kB is a key; a field longer than PostgreSQL's identifiers is told of."""
    monkeypatch.setenv("PENSTOCK_TEST_DATABASE_URL", database_server)
    long = ps.Pipeline("long", Long, gaps=ps.SqlGaps("select repeat('x''\"%%', 25000) as name"))

    @long.step
    async def step(unit: Long) -> int:
        return len(unit.name)

    field = "f" * 100
    wide: Any = make("Wide", __config__=ConfigDict(frozen=True), **{field: (int, ...)})
    named: Any = ps.Pipeline("wide", wide, gaps=ps.SqlGaps(f'select 1 as "{field}"'))
    named.step(name="step")(said)
    mine = ps.App("long", [long, named])
    with database(mine):
        assert mine.run(long).counts == {"completed": 1}
        with pytest.raises(ps.DefinitionError, match=f"does not select {field}"):
            mine.plan(named)


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb", "a\x1b[2J", "a\u202eb", "\ud800", "x" * 201])
def test_a_name_is_text_that_can_be_seen(name: str) -> None:
    pipe = ps.Pipeline("fine")
    for broken in (
        lambda: ps.Pipeline(name),
        lambda: ps.Pipeline("p", Long, lane=(name, "name")),
        lambda: ps.App(name, []),
        lambda: ps.Quota(name, 1),
        lambda: pipe.step(name=name)(said) if name else ps.App(name, []),
    ):
        with pytest.raises(ps.DefinitionError, match="name"):
            broken()


@pytest.mark.parametrize(
    "name", ["..", "../../etc", "/etc/passwd", ".", "a/b", "", "x" * 400, "\0", "~root", "C:\\x", "é"]
)
def test_a_folder_of_any_name_stays_where_it_is(name: str, tmp_path: Path) -> None:
    folder = tmp_path / folder_name(name)
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve()
    assert folder.name not in (".", "..")
    assert folder_name(name) != folder_name(name + "/")
