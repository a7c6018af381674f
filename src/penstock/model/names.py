"""Names that people give: of apps, pipelines, steps and lane spaces."""

from __future__ import annotations

from typing import Final

from penstock.model.errors import DefinitionError

LONGEST: Final = 200


def check_name(what: str, name: object) -> None:
    """A name is stored, shown, typed and sought: it is text of one line that can be seen.

    Args:
        what: What has the name, for the message.
        name: The name.

    Raises:
        DefinitionError: It is blank, too long, or has a control character, a line break or half of a character.
    """
    if not isinstance(name, str) or not name.strip():
        raise DefinitionError(f"{what}: {name!r} is no name; it is a text such as 'daily_reports'.")
    if not name.isprintable():
        raise DefinitionError(f"{what}: the name {name!r} has a character that cannot be seen; leave it out.")
    if len(name) > LONGEST:
        raise DefinitionError(f"{what}: the name {name[:40]!r}… has {len(name)} characters; {LONGEST} are the most.")
