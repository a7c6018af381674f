"""What a caller says about a file, checked before the file is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from penstock.data.sources.decoding import known_encoding
from penstock.data.sources.faults import BadInput, BadRow, Place
from penstock.data.sources.opening import FORMATS, Format
from penstock.model.errors import DefinitionError

if TYPE_CHECKING:
    import polars as pl

Types = Literal["text", "infer"]
_ADVICE: Final = "correct the file, or give bad=[] to have such rows put there instead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that can be said of a file; the meanings are in `read`."""

    sheet: str | int | None = None
    member: str | None = None
    schema: pl.Schema | Types | None = None
    formats: Mapping[str, str]
    format: Format | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = '"'
    header: int | None = 1
    names: tuple[str, ...] | None = None
    nulls: tuple[str, ...] | None = None
    line: str | None = None
    bad: list[BadRow] | None = None
    limit: int | None = None

    def check_for(self, found: Format, place: Place) -> None:
        """Refuses what is said of a file and means nothing for one of this format. Raises `BadInput`."""
        if self.sheet is not None and found != "excel":
            raise BadInput(place, "it is no workbook, so it has no sheets; leave sheet= out")
        if self.delimiter is not None and found != "csv":
            raise BadInput(place, f"it is {found}, which has no delimiter; leave delimiter= out")
        if self.names is not None and found == "json":
            raise BadInput(place, "the keys of JSON name its columns; leave names= out")

    def fault(
        self,
        place: Place,
        line: int,
        reason: str,
        *,
        column: str | None = None,
        value: Any = None,
        values: Sequence[Any] = (),
    ) -> None:
        """A row that is wrong: put aside where the caller wants that. Raises `BadInput` where not."""
        if self.bad is None:
            raise BadInput(place, f"{reason}; {_ADVICE}", line=line, column=column, value=value)
        self.bad.append(BadRow(line=line, reason=reason, column=column, values=tuple(values)))


def checked(
    *,
    sheet: str | int | None,
    member: str | None,
    schema: Any,
    formats: Mapping[str, str] | None,
    format: Format | None,  # noqa: A002 - the option's own name
    encoding: str | None,
    delimiter: str | None,
    quote: str | None,
    header: int | None,
    names: Sequence[str] | None,
    nulls: Collection[str] | None,
    line: str | None,
    bad: list[BadRow] | None,
    limit: int | None,
) -> Options:
    """The options, or what is wrong with them. Raises `DefinitionError`."""
    if format is not None and format not in FORMATS:
        raise DefinitionError(f"format={format!r} is none of {', '.join(map(repr, FORMATS))}")
    if isinstance(nulls, str):
        raise DefinitionError(f"nulls={nulls!r} is one text; give a tuple of texts: nulls=({nulls!r},)")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in "\r\n\0" or delimiter == quote):
        raise DefinitionError(f"delimiter={delimiter!r} is not one character that can separate values")
    if quote is not None and (len(quote) != 1 or quote in "\r\n\0"):
        raise DefinitionError(f"quote={quote!r} is not one character; None says that nothing is quoted")
    if isinstance(sheet, int) and sheet < 1:
        raise DefinitionError(f"sheet={sheet} is no sheet; the first is sheet=1")
    if header is not None and header < 1:
        raise DefinitionError(f"header={header} is no line; the first is header=1, and None says that there is none")
    if header is None and not names:
        raise DefinitionError(
            "header=None says that the file does not name its columns; say what they are: names=[...]"
        )
    if names is not None and (len(set(names)) != len(names) or not all(names)):
        raise DefinitionError(f"names={list(names)!r} has a name twice, or an empty one")
    if limit is not None and limit < 1:
        raise DefinitionError(f"limit={limit} is no number of bytes")
    known = _schema(schema)
    if formats and (known is None or isinstance(known, str)):
        raise DefinitionError("formats= says how dates are written in columns that schema= types; give schema=")
    if known is not None and not isinstance(known, str):
        _check_formats(formats or {}, known)
    return Options(
        sheet=sheet,
        member=member,
        schema=known,
        formats=dict(formats or {}),
        format=format,
        encoding=None if encoding is None else known_encoding(encoding),
        delimiter=delimiter,
        quote=quote,
        header=header,
        names=None if names is None else tuple(names),
        nulls=None if nulls is None else tuple(nulls),
        line=line,
        bad=bad,
        limit=limit,
    )


def _schema(given: Any) -> pl.Schema | Types | None:
    """Polars types by column: of a mapping, of a schema of polars, or of one of dataframely."""
    import polars as pl

    match given:
        case None | "text" | "infer":
            return given
        case _:
            pass
    to_polars = getattr(given, "to_polars_schema", None)
    if callable(to_polars):
        given = to_polars()
    if not isinstance(given, Mapping):
        raise DefinitionError(
            f"schema={given!r} is neither a mapping of columns to polars types, nor 'text' or 'infer'"
        )
    try:
        known = pl.Schema(cast(Mapping[str, Any], given))
        pl.DataFrame(schema=known)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DefinitionError(f"schema= has what is no polars type: {error}") from error
    for name, dtype in known.items():
        if isinstance(dtype, (pl.Duration, pl.Null, pl.Object, pl.Unknown)):
            raise DefinitionError(f"schema= has {dtype} for {name!r}, which no file's values are read as; leave it out")
    return known


def _check_formats(formats: Mapping[str, str], schema: pl.Schema) -> None:
    import polars as pl

    from penstock.data.sources.casting import typed

    if wrong := set(formats) - set(schema):
        raise DefinitionError(f"formats= names {', '.join(map(repr, sorted(wrong)))}, which schema= does not")
    for name, pattern in formats.items():
        dtype = schema[name]
        if not isinstance(dtype, (pl.Date, pl.Datetime, pl.Time)):
            raise DefinitionError(
                f"formats= has {pattern!r} for {name!r}, which schema= makes {dtype}: no date, no time"
            )
        try:
            typed(pl.Series(["x"]), dtype, pattern)
        except pl.exceptions.PolarsError as error:
            reason = str(error).strip().splitlines()[0]
            raise DefinitionError(f"formats= has {pattern!r} for {name!r}, which reads no {dtype}: {reason}") from error
