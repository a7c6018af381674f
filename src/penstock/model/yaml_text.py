"""YAML that people write, read within bounds: plain values only, no name twice, no text that eats memory or time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from penstock.model.errors import SettingError
from penstock.model.narrowing import is_mapping

if TYPE_CHECKING:
    import yaml

DEEPEST: Final = 32
MOST: Final = 20_000
"""Values, with those that an alias repeats: ten aliases of ten aliases, nine times over, are a thousand million."""


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML mapping, and the lines on which its names stand, counted from 1.

    Attributes:
        body: The mapping.
        lines: The line of each name of the top level.
        places: The line of each name below as well, by its path.
    """

    body: Mapping[str, Any]
    lines: Mapping[str, int]
    places: Mapping[tuple[str, ...], int] = field(default_factory=dict[tuple[str, ...], int])

    def line(self, *path: str) -> int:
        """The line of a name, or of the nearest name above it that is there."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, 1)


def parse(raw: bytes, where: str) -> Document:
    """The mapping that a file holds.

    Args:
        raw: The file, in UTF-8; whoever reads it bounds its size.
        where: The file's name, for messages.

    Raises:
        SettingError: It is no YAML, no mapping, or out of bounds; the message names the line.
    """
    import yaml
    from yaml.reader import ReaderError

    text = _decoded(raw, where)
    try:
        loader = _bounded(text)
        node = loader.get_single_node()
        _check_names(node, where)
        body: Any = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise SettingError(f"{where}, line {line}: this is no YAML: {problem}.") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SettingError(f"{where}, line {line}: U+{ord(text[error.position]):04X} may not stand in YAML.") from None
    except yaml.YAMLError as error:
        raise SettingError(f"{where}: this is no YAML: {error}.") from None
    if body is None:
        return Document({}, {})
    if not is_mapping(body) or not isinstance(node, yaml.MappingNode):
        kind: str = body.__class__.__name__
        line = node.start_mark.line + 1 if node is not None else 1
        raise SettingError(f"{where}, line {line}: settings are a mapping such as 'lanes: 4', this is a {kind}.")
    lines = {str(name.value): name.start_mark.line + 1 for name, _ in node.value if isinstance(name, yaml.ScalarNode)}
    return Document({str(name): value for name, value in body.items()}, lines, _places(node))


def _places(root: yaml.Node) -> dict[tuple[str, ...], int]:
    """The line of every name in mappings within mappings; what an alias repeats is where it was written first."""
    import yaml

    found: dict[tuple[str, ...], int] = {}
    todo: list[tuple[tuple[str, ...], yaml.Node]] = [((), root)]
    seen: set[int] = set()
    while todo:
        path, node = todo.pop()
        if id(node) in seen or not isinstance(node, yaml.MappingNode):
            continue
        seen.add(id(node))
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode):
                place = (*path, str(name.value))
                found[place] = name.start_mark.line + 1
                todo.append((place, value))
    return found


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SettingError(
            f"{where}, line {line}: byte 0x{raw[error.start]:02x} is no UTF-8; save the file in UTF-8."
        ) from None


def _check_names(node: yaml.Node | None, where: str) -> None:
    """No mapping may have a name twice: PyYAML would take the last, and the first is what somebody sees."""
    import yaml

    todo: list[yaml.Node] = [] if node is None else [node]
    seen: set[int] = set()
    while todo:
        this = todo.pop()
        if id(this) in seen:
            continue
        seen.add(id(this))
        if isinstance(this, yaml.SequenceNode):
            todo.extend(this.value)
        elif isinstance(this, yaml.MappingNode):
            first: dict[tuple[str, str], int] = {}
            for name, value in this.value:
                line = name.start_mark.line + 1
                if isinstance(name, yaml.ScalarNode):
                    if (before := first.get((name.tag, name.value))) is not None:
                        raise SettingError(
                            f"{where}, line {line}: {name.value!r} is there already, on line {before}; remove one."
                        )
                    first[name.tag, name.value] = line
                todo.append(value)


def _bounded(text: str) -> Any:
    """A safe loader that counts as it composes, so that nothing large is ever made."""
    import yaml
    from yaml.composer import ComposerError
    from yaml.constructor import ConstructorError

    class Loader(yaml.SafeLoader):
        def __init__(self, stream: str) -> None:
            self.depth = 0
            self.sizes: dict[int, tuple[int, int]] = {}
            super().__init__(stream)

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            this: Any = self  # PyYAML's stubs know nothing of its parts
            mark: Any = this.peek_event().start_mark
            self.depth += 1
            if self.depth > DEEPEST:
                raise ComposerError(None, None, f"it is nested more than {DEEPEST} deep", mark)
            is_alias: bool = this.check_event(yaml.AliasEvent)
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            if node is not None and id(node) not in self.sizes:
                if is_alias:  # of something that is not complete
                    raise ComposerError(None, None, "an alias stands within what it names", mark)
                self.sizes[id(node)] = _measured(node, self.sizes, mark)
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's
            try:
                value: Any = super().construct_object(node, deep=deep)  # pyright: ignore[reportUnknownMemberType]
            except (ValueError, OverflowError, AttributeError, KeyError) as error:  # such as 2025-13-45, or !!int x
                raise ConstructorError(
                    None, None, f"this value cannot be read ({type(error).__name__})", node.start_mark
                ) from None
            return value

    return Loader(text)


def _measured(node: yaml.Node, known: Mapping[int, tuple[int, int]], mark: Any) -> tuple[int, int]:
    """How many values a node is, and how deep, with all aliases written out; its parts are known already."""
    import yaml
    from yaml.composer import ComposerError

    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    size = 1 + sum(known[id(part)][0] for part in parts)
    depth = 1 + max((known[id(part)][1] for part in parts), default=0)
    if size > MOST or depth > DEEPEST:
        problem = f"its aliases written out are more than {MOST:,} values or {DEEPEST} deep"
        raise ComposerError(None, None, problem, mark)
    return size, depth
