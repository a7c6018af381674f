"""The monitored institutions: which banks are reported on, read from one YAML file that people edit.

Every fault is reported with the file and the line it is on, because the file is edited by hand and a bank that
silently drops out of it is a report that nobody misses until it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aegis.yaml_nodes import LARGEST, compose

if TYPE_CHECKING:
    import yaml

DEFAULT_PATH = Path(__file__).parent / "etls" / "call_summary" / "config" / "monitored_institutions.yaml"
"""Where the file lies when no other is named."""

_FORM = 'SYMBOL-COUNTRY: {id: 1, name: "Full name", type: "Group"}'
_SYMBOL = re.compile(r"(?P<symbol>[A-Z][A-Z0-9.]{0,9})(?:-[A-Z]{2})?")
_KEYS = ("id", "name", "type")
_LONGEST_SHOWN = 40
_INTEGER_TAG = "tag:yaml.org,2002:int"
_NULL_TAG = "tag:yaml.org,2002:null"


class InstitutionsError(ValueError):
    """The institutions file cannot be used: the message names the file, the line (1-based) and the remedy."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        self.path = path
        self.line = line
        self.problem = problem
        place = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {problem}")


@dataclass(frozen=True, kw_only=True)
class Institution:
    """One monitored bank. `symbol` is without the country suffix, as the database has it (`RY`, not `RY-CA`)."""

    symbol: str
    id: int
    name: str
    type: str


def load_institutions(path: Path | None = None) -> dict[str, Institution]:
    """The monitored institutions by symbol, in the order of the file.

    Raises `InstitutionsError` for a missing file, bad YAML, an entry that is not of the form, and an id or a symbol
    (after its country suffix is stripped) that occurs twice.
    """
    import yaml

    path = DEFAULT_PATH if path is None else path
    root = _root(path)
    if root is None:
        raise InstitutionsError(path, None, f"no institutions; write one line a bank: {_FORM}")
    if not isinstance(root, yaml.MappingNode):
        raise InstitutionsError(path, _line(root), f"must be a mapping of symbols; write {_FORM}")

    institutions: dict[str, Institution] = {}
    symbol_lines: dict[str, int] = {}
    id_lines: dict[int, int] = {}
    for key, value in root.value:
        institution = _institution(path, key, value)
        line = _line(key)
        if institution.symbol in symbol_lines:
            first = symbol_lines[institution.symbol]
            raise InstitutionsError(
                path, line, f"symbol {institution.symbol} is already on line {first}; remove one of the two"
            )
        if institution.id in id_lines:
            first = id_lines[institution.id]
            raise InstitutionsError(
                path, line, f"id {institution.id} is already used on line {first}; give {institution.symbol} another"
            )
        symbol_lines[institution.symbol] = line
        id_lines[institution.id] = line
        institutions[institution.symbol] = institution
    if not institutions:
        raise InstitutionsError(path, _line(root), f"no institutions; write one line a bank: {_FORM}")
    return institutions


def _root(path: Path) -> yaml.Node | None:
    """The file's root node, or `InstitutionsError` at the line where it is no YAML of ours."""
    import yaml
    from yaml.reader import ReaderError

    text = _text(path)
    try:
        return compose(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        problem = f"not valid YAML: {error.problem or error.context}; write {_FORM}"
        raise InstitutionsError(path, line, problem) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"the character U+{ord(text[error.position]):04X} may not stand in YAML; remove it"
        raise InstitutionsError(path, line, problem) from error
    except yaml.YAMLError as error:
        raise InstitutionsError(path, None, f"not valid YAML: {error}; write {_FORM}") from error


def _text(path: Path) -> str:
    """The file's text; not more of it than may be, with one byte that says so."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise InstitutionsError(path, None, "no such file; create it or name another") from error
    except OSError as error:
        raise InstitutionsError(path, None, f"cannot be read ({error.strerror})") from error
    if len(raw) > LARGEST:
        raise InstitutionsError(path, None, f"it is larger than {LARGEST:,} bytes; is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{raw[error.start]:02x} is no UTF-8; save the file in UTF-8"
        raise InstitutionsError(path, line, problem) from error


def _institution(path: Path, key: yaml.Node, value: yaml.Node) -> Institution:
    """One entry, or `InstitutionsError` at the line of what is wrong."""
    import yaml

    match = _SYMBOL.fullmatch(str(key.value)) if isinstance(key, yaml.ScalarNode) else None
    if match is None:
        raise InstitutionsError(
            path, _line(key), f"{str(key.value)[:_LONGEST_SHOWN]!r} is not a symbol such as RY-CA; write {_FORM}"
        )
    symbol = match["symbol"]
    if not isinstance(value, yaml.MappingNode):
        raise InstitutionsError(path, _line(value), f"{key.value} must be a mapping; write {_FORM}")
    fields: dict[str, yaml.ScalarNode] = {}
    for name_node, field in value.value:
        name = str(name_node.value)[:_LONGEST_SHOWN]
        if name not in _KEYS:
            raise InstitutionsError(
                path, _line(name_node), f"{key.value} has the unknown key {name!r}; the keys are {', '.join(_KEYS)}"
            )
        if name in fields:
            raise InstitutionsError(path, _line(name_node), f"{key.value} has the key {name!r} twice; remove one")
        if not isinstance(field, yaml.ScalarNode) or field.tag == _NULL_TAG or not str(field.value).strip():
            raise InstitutionsError(
                path, _line(name_node), f"{key.value}: {name} must be a single value; write {_FORM}"
            )
        fields[name] = field
    for name in _KEYS:
        if name not in fields:
            raise InstitutionsError(path, _line(key), f"{key.value} has no {name}; write {_FORM}")
    identifier = fields["id"]
    if identifier.tag != _INTEGER_TAG or not re.fullmatch(r"[0-9]{1,9}", identifier.value):
        shown = identifier.value[:_LONGEST_SHOWN]
        raise InstitutionsError(
            path, _line(identifier), f"{key.value}: id must be a whole number without quotes, not {shown!r}"
        )
    return Institution(
        symbol=symbol,
        id=int(identifier.value, 10),
        name=fields["name"].value.strip(),
        type=fields["type"].value.strip(),
    )


def _line(node: yaml.Node) -> int:
    """The 1-based line on which a node starts."""
    return int(node.start_mark.line) + 1
