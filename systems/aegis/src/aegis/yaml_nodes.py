"""YAML files as nodes, within bounds: small, flat and without aliases, so that none eats memory or time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

LARGEST = 256 * 1024
"""Bytes; ten times what a thousand banks take."""
DEEPEST = 16


def compose(text: str) -> yaml.Node | None:
    """The root node; None for an empty file.

    Raises:
        yaml.YAMLError: It is no YAML, larger or deeper than files like ours are, or has an alias.
    """
    import yaml
    from yaml.composer import ComposerError

    if len(text) > LARGEST:
        raise yaml.YAMLError(f"the file has {len(text):,} characters, and {LARGEST:,} are the most")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # event by event: nothing is built yet
        mark: Any = event.start_mark
        match event:
            case yaml.AliasEvent():
                problem = f"the alias *{event.anchor} is not used here; write the value out"
                raise ComposerError(None, None, problem, mark)
            case yaml.CollectionStartEvent():
                depth += 1
                if depth > DEEPEST:
                    raise ComposerError(None, None, f"it is nested more than {DEEPEST} deep", mark)
            case yaml.CollectionEndEvent():
                depth -= 1
            case _:
                pass
    return yaml.compose(text, Loader=yaml.SafeLoader)
