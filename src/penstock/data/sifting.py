"""Rows that keep to a schema, and rows that do not, each with what it broke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from penstock.data.extra import frames_needed
from penstock.data.measuring import SAMPLE, report, sample_of
from penstock.data.values import Sifted
from penstock.definition.context import running
from penstock.model.errors import DefinitionError, InvalidData
from penstock.model.quality import Issue

if TYPE_CHECKING:
    import dataframely as dy
    import polars as pl

Keep: TypeAlias = Literal["equal", "first", "last", "none"]

RULES: Final = "rules"
"""The column of bad rows that says what each broke."""
_ROW: Final = "penstock_row"
_KEY: Final = "primary_key"
_BETWEEN: Final = ", "
_KINDS: Final[Mapping[str, str]] = {
    "nullability": "missing_fields",
    "dtype": "invalid_types",
    "primary_key": "duplicates",
    "unique": "duplicates",
    "min": "out_of_range",
    "max": "out_of_range",
    "min_exclusive": "out_of_range",
    "max_exclusive": "out_of_range",
    "min_length": "out_of_range",
    "max_length": "out_of_range",
    "inf": "out_of_range",
    "nan": "out_of_range",
}


def sift(frame: pl.DataFrame, schema: type[dy.Schema], *, keep: Keep = "equal", table: str | None = None) -> Sifted:
    """Sort rows by whether they keep to a dataframely schema, and report it to the running step.

    Values are cast to the schema's types first: text by ISO 8601, blank text to null, times without a zone as UTC.

    Args:
        frame: The rows; columns that the schema does not name are left out of the good ones.
        schema: The schema. Its rules' kinds of issue: nullability is missing_fields, a value that cannot be cast
            invalid_types, a primary key that comes again duplicates, bounds and lengths out_of_range, every other rule
            inconsistent.
        keep: Which of several rows with one primary key stays good, when they break no other rule: `equal` keeps the
            first where they are all equal and none where they contradict one another; `first`, `last`, `none`.
        table: What the issues are reported under; else the schema's name.

    Returns:
        The good rows, in order; and the bad ones as they came, with the column `rules`, such as `cost|min, day|dtype`.

    Raises:
        InvalidData: The frame lacks columns of the schema.
        DefinitionError: The frame has a column `rules` or `penstock_row` of its own, or keep is none of these words.
    """
    frames_needed("dataframely")
    if keep not in get_args(Keep):
        raise DefinitionError(f"sift(keep={keep!r}): it is one of {', '.join(get_args(Keep))}.")
    for name in (RULES, _ROW):
        if name in frame.columns:
            raise DefinitionError(f"sift() marks rows in a column {name!r}, which the frame already has: rename it.")
    lacking = [name for name in schema.column_names() if name not in frame.columns]
    if lacking:
        raise InvalidData(
            f"{schema.__name__}: the rows lack {', '.join(lacking)}; they have {', '.join(frame.columns)}."
        )
    good, broken = _sorted(frame, schema, keep)
    bad = frame.with_row_index(_ROW).join(broken, on=_ROW, how="inner", maintain_order="left").drop(_ROW)
    context = running()
    if context is not None and bad.height:
        context.count(filtered=bad.height)
    issues = [_issue(rule, bad) for rule in _in_order(bad)]
    report(total=frame.height, valid=good.height, issues=issues, table=table or schema.__name__)
    return Sifted(good, bad)


def _sorted(frame: pl.DataFrame, schema: type[dy.Schema], keep: Keep) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The good rows, and the numbers of the others with what they broke."""
    import dataframely as dy
    import polars as pl

    cast_frame, unfit = _cast(frame, schema)
    fit = cast_frame.join(unfit, on=_ROW, how="anti", maintain_order="left")
    # A schema with one column more, so that a row is known by its number on both sides.
    numbered = cast(type[dy.Schema], type(schema.__name__, (schema,), {_ROW: dy.UInt32()}))
    valid, failure = numbered.filter(fit, cast=False)
    kept: pl.DataFrame = valid
    details = failure.details()
    rules = [name for name in details.columns if name not in fit.columns]
    broken = details.select(
        _ROW,
        pl.concat_list(pl.when(pl.col(rule) == "invalid").then(pl.lit(rule)) for rule in rules)
        .list.drop_nulls()
        .list.join(_BETWEEN)
        .alias(RULES)
        if rules
        else pl.lit("").alias(RULES),
    )
    saved = _saved(failure.invalid(), broken, schema, keep)
    if saved.height:
        broken = broken.join(saved.select(_ROW), on=_ROW, how="anti", maintain_order="left")
        kept = pl.concat([kept, saved.select(kept.columns)]).sort(_ROW)
    return kept.drop(_ROW), pl.concat([broken, unfit])


def _cast(frame: pl.DataFrame, schema: type[dy.Schema]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The schema's columns in its types, and the rows with values that could not be cast."""
    import polars as pl

    from penstock.data import casting

    columns: list[pl.Series] = [pl.Series(_ROW, range(frame.height), dtype=pl.UInt32)]
    failed: list[pl.Series] = []
    for name, column in schema.columns().items():
        series = frame[name]
        if not column.validate_dtype(series.dtype):
            try:
                series, unfit = casting.cast(series, column.dtype)
            except (
                pl.exceptions.InvalidOperationError,
                pl.exceptions.ComputeError,
                pl.exceptions.SchemaError,
            ) as error:
                raise InvalidData(
                    f"{schema.__name__}: the column {name} is {frame[name].dtype}, which no {column.dtype} is made of."
                ) from error
            if unfit.any():
                failed.append(unfit.alias(f"{name}|dtype"))
        columns.append(series)
    rows = pl.DataFrame(columns)
    if not failed:
        return rows, pl.DataFrame(schema={_ROW: pl.UInt32, RULES: pl.String})
    marks = [pl.when(pl.col(mark.name)).then(pl.lit(mark.name)) for mark in failed]
    unfit_rows = (
        pl.DataFrame([rows[_ROW], *failed])
        .filter(pl.any_horizontal(mark.name for mark in failed))
        .select(_ROW, pl.concat_list(marks).list.drop_nulls().list.join(_BETWEEN).alias(RULES))
    )
    return rows, unfit_rows


def _saved(invalid: pl.DataFrame, broken: pl.DataFrame, schema: type[dy.Schema], keep: Keep) -> pl.DataFrame:
    """Of rows that break nothing but the primary key, those that stay after all."""
    import polars as pl

    key = schema.primary_key()
    alone = invalid.join(broken.filter(pl.col(RULES) == _KEY), on=_ROW, how="semi", maintain_order="left")
    if keep == "none" or not key or not alone.height:
        return alone.clear()
    if keep != "equal":
        return alone.unique(subset=key, keep=keep, maintain_order=True)
    values = [name for name in alone.columns if name != _ROW]
    different = alone.unique(subset=values, keep="first", maintain_order=True)
    return different.filter(pl.struct(key).is_unique())


def _in_order(bad: pl.DataFrame) -> list[str]:
    """Every rule that was broken, once."""
    return bad[RULES].str.split(_BETWEEN).explode().drop_nulls().unique(maintain_order=True).to_list()


def _issue(rule: str, bad: pl.DataFrame) -> Issue:
    import polars as pl

    rows = bad.filter(pl.col(RULES).str.split(_BETWEEN).list.contains(rule))
    kind = _KINDS.get(rule.rsplit("|", 1)[-1], "inconsistent")
    return Issue(
        type=kind, count=rows.height, severity="warning", rule=rule, sample=sample_of(rows.head(SAMPLE).to_dicts())
    )
