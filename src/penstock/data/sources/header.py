"""The names of the columns: each once, none that stands for two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from penstock.data.sources.faults import BadInput, Place, counted
from penstock.data.sources.options import Options


def column_names(
    found: Sequence[str | None], options: Options, place: Place, line: int | None
) -> tuple[str | None, ...]:
    """The names that hold; None for a column without one, which is left out while nothing stands in it.

    Args:
        found: What the header says.
        options: What the caller says, whose `names` go before the header's.
        place: The file.
        line: Where the header is; None where there is none.

    Raises:
        BadInput: A name is there twice, no column has one, or `names` does not fit the header.
    """
    if options.names is not None:
        if line is not None and len(found) != len(options.names):
            reason = (
                f"names= has {counted(len(options.names), 'name')} where the header has {counted(len(found), 'column')}"
            )
            raise BadInput(place, f"{reason}; correct names=", line=line)
        names: tuple[str | None, ...] = options.names
    else:
        names = tuple(name if name is not None and name.strip() else None for name in found)
    said = [name for name in names if name is not None]
    if not said:
        raise BadInput(place, "no column has a name; say which line has them: header=, or give names=", line=line)
    twice = [name for name, count in Counter(said).items() if count > 1]
    if twice:
        at = "; ".join(f"{name!r} is in columns {_places(name, names)}" for name in twice)
        raise BadInput(place, f"a name is there twice: {at}; give names= for all columns", line=line, column=twice[0])
    if (nul := next((name for name in said if "\0" in name), None)) is not None:
        raise BadInput(place, f"the name {nul!r} holds a NUL character; give names= for all columns", line=line)
    if options.line is not None and options.line in said:
        reason = f"it has a column {options.line!r} of its own; give line= another name"
        raise BadInput(place, reason, line=line, column=options.line)
    return names


def _places(name: str, names: Sequence[str | None]) -> str:
    return " and ".join(str(at) for at, other in enumerate(names, 1) if other == name)
