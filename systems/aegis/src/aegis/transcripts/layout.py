"""The JSON layout of a transcript: what a file of it may hold, and what is wrong with one that holds something else."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aegis.transcripts.model import Reason

_JSON = re.compile(r"\s*(?:\{|\[\s*[\[{\"\]])")
_WANTED = {
    "string_type": "a string",
    "list_type": "a list",
    "model_type": "an object",
    "dict_type": "an object",
    "model_attributes_type": "an object",
}
_KINDS: tuple[tuple[type, str], ...] = (
    (dict, "an object"),
    (list, "a list"),
    (str, "a string"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
)


SPEECHES_LIMIT = 3_000
"""Entries that a list of speeches may have. A long call has about 250."""
PARTICIPANTS_LIMIT = 500
"""Entries that the list of participants may have."""


class LayoutError(ValueError):
    """A file that is meant to be of the layout and is not; `detail` is one sentence that begins after its name."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class _Lenient(BaseModel):
    # Other keys are other tools' business; a null is the same as nothing.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Spoken(_Lenient):
    """An entry of the file's two lists."""

    speaker: str | None = None
    speech: str | None = None


class Layout(_Lenient):
    """A file of the JSON layout. Keys and entries may be missing or null, but what is there has the right type."""

    header_texts: Annotated[list[str | None], Field(max_length=PARTICIPANTS_LIMIT)] | None = None
    prepared_remarks: Annotated[list[Spoken | None], Field(max_length=SPEECHES_LIMIT)] | None = None
    q_and_a: Annotated[list[Spoken | None], Field(max_length=SPEECHES_LIMIT)] | None = None
    participants: Annotated[list[str | None], Field(max_length=PARTICIPANTS_LIMIT)] | None = None


def is_json(text: str) -> bool:
    """Whether a text is meant as JSON: the content decides, whatever the file's name."""
    return _JSON.match(text) is not None


def read_layout(text: str) -> Layout:
    """The file's content. Raises `LayoutError` with the line and column, or the field, that is wrong."""
    try:
        content: Any = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        detail = f"is no valid JSON at line {error.lineno}, column {error.colno} ({error.msg}); repair or convert it"
        raise LayoutError(Reason.BAD_JSON, detail) from error
    except RecursionError as error:
        raise LayoutError(Reason.BAD_JSON, "is nested too deeply for a transcript; convert it again") from error
    except ValueError as error:  # a number of thousands of digits, and what the hooks below refuse
        raise LayoutError(Reason.BAD_JSON, f"is no valid JSON ({error}); repair or convert it") from error
    if not isinstance(content, dict):
        detail = f"holds {_kind(content)} at the top, not an object with prepared_remarks and q_and_a; convert it again"
        raise LayoutError(Reason.BAD_SHAPE, detail)
    if "prepared_remarks" not in content and "q_and_a" not in content:
        detail = "has neither prepared_remarks nor q_and_a: it is no transcript of the JSON layout"
        raise LayoutError(Reason.BAD_SHAPE, detail)
    try:
        layout = Layout.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        path = _path(fault["loc"])
        if fault["type"] == "too_long":
            detail = f"has more than {fault.get('ctx', {}).get('max_length')} entries in {path}: it is no transcript"
        else:
            wanted = _WANTED.get(fault["type"], fault["msg"])
            detail = f"has {_kind(fault['input'])} as {path}, where {wanted} belongs; convert it again"
        raise LayoutError(Reason.BAD_SHAPE, detail) from error
    _refuse_what_is_no_text(layout)
    return layout


def _refuse_what_is_no_text(layout: Layout) -> None:
    r"""JSON can escape what no text file and no database can hold: `\u0000`, and half of a pair (`\ud83d`)."""
    fields: list[tuple[tuple[str | int, ...], str | None]] = [
        *((("header_texts", at), text) for at, text in enumerate(layout.header_texts or ())),
        *((("participants", at), text) for at, text in enumerate(layout.participants or ())),
    ]
    for name in ("prepared_remarks", "q_and_a"):
        entries: list[Spoken | None] = getattr(layout, name) or []
        for at, entry in enumerate(entries):
            if entry is not None:
                fields += [((name, at, "speaker"), entry.speaker), ((name, at, "speech"), entry.speech)]
    for path, text in fields:
        bad = next((c for c in text or "" if c == "\0" or "\ud800" <= c <= "\udfff"), None)
        if bad is not None:
            detail = f"has the character U+{ord(bad):04X} in {_path(path)}, which is no text; save it again as UTF-8"
            raise LayoutError(Reason.BAD_ENCODING, detail)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            msg = f"the key {_shown(key)} stands twice in one object"
            raise ValueError(msg)
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    msg = f"{name} is no value of JSON"
    raise ValueError(msg)


def _shown(key: str) -> str:
    return ascii(key[:40])


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "null")


def _path(loc: tuple[str | int, ...]) -> str:
    """`("q_and_a", 3, "speech")` as `q_and_a[3].speech`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
