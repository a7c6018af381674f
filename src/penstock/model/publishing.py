"""Where events go: the block `events:` of penstock.yaml as a value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import quote

from penstock.model.cloud_events import PUBLISHED, TOPIC
from penstock.model.errors import SettingError
from penstock.model.narrowing import is_list, is_mapping
from penstock.model.redaction import learn_url, redact
from penstock.model.spelling import did_you_mean
from penstock.model.states import EventType
from penstock.model.yaml_text import Document

SinkKind: TypeAlias = Literal["postgres", "nats", "kafka", "webhook", "openlineage"]
Form: TypeAlias = Literal["text", "secret", "url", "list", "seconds", "count"]

KINDS: Final[tuple[SinkKind, ...]] = get_args(SinkKind)
LONGEST: Final = 20.0
"""Seconds that one request of a sink may be given: less than its events are one process's."""
_WEB: Final = ("http://", "https://")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a sink: what it looks like, its default (None: it may be left out), and what may be said."""

    form: Form
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()


_TIMEOUT: Final = Option("seconds", 10.0)
OPTIONS: Final[Mapping[SinkKind, Mapping[str, Option]]] = {
    "postgres": {"channel": Option("text", "etl_events")},
    "nats": {
        "servers": Option("list", required=True),
        "subject": Option("text", TOPIC),
        "stream": Option("text", "ETL_EVENTS"),
        "keep_days": Option("count", 30),
        "user": Option("text"),
        "password": Option("secret"),
        "token": Option("secret"),
        "credentials": Option("text"),
        "timeout": _TIMEOUT,
    },
    "kafka": {
        "brokers": Option("list", required=True),
        "topic": Option("text", TOPIC),
        "security": Option("text", "PLAINTEXT", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
        "mechanism": Option("text", "PLAIN", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")),
        "user": Option("text"),
        "password": Option("secret"),
        "ca_file": Option("text"),
        "timeout": _TIMEOUT,
    },
    "webhook": {
        "url": Option("url", required=True),
        "secret": Option("secret", required=True),
        "mode": Option("text", "batch", choices=("batch", "structured")),
        "timeout": _TIMEOUT,
    },
    "openlineage": {
        "url": Option("url", required=True),
        "endpoint": Option("text", "api/v1/lineage"),
        "api_key": Option("secret"),
        "namespace": Option("text"),
        "timeout": _TIMEOUT,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """One sink.

    Attributes:
        name: Its name, by which the ledger knows how far it is.
        kind: What it is.
        types: The events that it gets.
        options: What else was said of it, with `${NAME}` as it was written, and the defaults.
    """

    name: str
    kind: SinkKind
    types: frozenset[EventType] = frozenset(PUBLISHED)
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """All sinks, by name."""

    sinks: Mapping[str, SinkSettings]

    @property
    def wanted(self) -> frozenset[EventType]:
        """The types of events that some sink gets: what an engine must put into the outbox."""
        return frozenset(kind for sink in self.sinks.values() for kind in sink.types)


def parse_events(document: Document, file: object) -> Publishing | None:
    """The block as a value; None where events go nowhere.

    Raises:
        SettingError: Something in it does not fit; the message names it, its line and what comes nearest to it.
    """
    body = document.body.get("events")
    if body is None:
        return None
    block = _Block(document, str(file), ("events",))
    block.known(body, ("sinks",), "a mapping with sinks:")
    sinks = body.get("sinks")
    below = block.below("sinks")
    if not is_mapping(sinks) or not sinks:
        raise below.fault("is a mapping of a name to a sink, such as bus: {type: nats, servers: nats://host:4222}.")
    return Publishing(sinks={str(name): _sink(below, name, sink) for name, sink in sinks.items()})


def expanded(sink: SinkSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    """A sink's options with the environment's values in them; those that are secret are taken out of texts from now on.

    Raises:
        SettingError: A variable is not set; the message names it.
    """
    options = OPTIONS[sink.kind]
    found: dict[str, Any] = {}
    for name, value in sink.options.items():
        form = options[name].form
        where = f"events: sink {sink.name}: {name}:"
        if isinstance(value, str):
            found[name] = _filled(value, form, where, environ)
        elif is_list(value):
            found[name] = [_filled(str(one), form, where, environ) for one in value]
        else:
            found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class _Block:
    """A place in the file, for messages."""

    document: Document
    file: str
    path: tuple[str, ...]

    def below(self, *names: str) -> _Block:
        return _Block(self.document, self.file, (*self.path, *names))

    def fault(self, says: str) -> SettingError:
        return SettingError(f"{self.file}, line {self.document.line(*self.path)}: {'.'.join(self.path)} {says}")

    def known(self, body: object, names: Sequence[str], what: str) -> None:
        """It is a mapping of these names.

        Raises:
            SettingError: It is not.
        """
        if not is_mapping(body):
            raise self.fault(f"is {what}, this is a {type(body).__name__}.")
        for name in body:
            if name not in names:
                raise self.below(str(name)).fault(f"is not known{_near(str(name), names)}")


def _sink(block: _Block, name: object, body: object) -> SinkSettings:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise block.below(str(name)).fault("needs a name of letters, digits, - and _.")
    here = block.below(name)
    if not is_mapping(body):
        raise here.fault("is a mapping with type:, such as {type: nats, servers: nats://host:4222}.")
    kind = body.get("type")
    if kind not in KINDS:
        raise here.below("type").fault(f"is one of {', '.join(KINDS)}{_near(str(kind), KINDS, listed=False)}")
    options = OPTIONS[kind]
    here.known(body, ("type", "types", *options), "a mapping")
    values: dict[str, Any] = {}
    for word, option in options.items():
        given = body.get(word)
        if given is None:
            if option.required:
                raise here.fault(f"needs {word}: for a sink of type {kind}.")
            given = option.default
        if given is not None:
            values[word] = _value(here.below(word), option, given)
    return SinkSettings(
        name=name, kind=kind, types=_types(here.below("types"), kind, body.get("types")), options=values
    )


def _types(block: _Block, kind: SinkKind, given: object) -> frozenset[EventType]:
    known: list[EventType] = [one for one in PUBLISHED if kind != "openlineage" or one != "quality.issue_detected"]
    if given is None:
        return frozenset(known)
    found: list[Any] = list(given) if is_list(given) else [given]  # one may be said without brackets
    for one in found:
        if one not in known:
            raise block.fault(f"is a list of {', '.join(known)}; {one!r} is none{_near(str(one), known, listed=False)}")
    if not found:
        raise block.fault(f"is empty; there are {', '.join(known)}.")
    return frozenset(one for one in known if one in found)


def _value(block: _Block, option: Option, given: Any) -> Any:
    match option.form:
        case "seconds" | "count":
            return _number(block, given, whole=option.form == "count")
        case "list":
            found: list[Any] = list(given) if is_list(given) else [given]
            if not found or not all(isinstance(one, str) and one.strip() for one in found):
                raise block.fault("is an address or a list of addresses.")
            return found
        case "url":
            if not isinstance(given, str) or not (given.startswith(_WEB) or _VARIABLE.fullmatch(given)):
                raise block.fault("is an address that begins with https:// or http://, or ${NAME}.")
        case "secret":
            if not isinstance(given, str) or not given:
                raise block.fault("is text; ${NAME} takes it from the environment.")
        case "text":
            if not isinstance(given, str) or not given.strip():
                raise block.fault(f"is text; this is {given!r}.")
            if option.choices and given not in option.choices:
                near = _near(given, option.choices, listed=False)
                raise block.fault(f"is one of {', '.join(option.choices)}{near}")
    return given


def _number(block: _Block, given: Any, *, whole: bool) -> float:
    kind = int if whole else int | float
    if isinstance(given, bool) or not isinstance(given, kind) or given <= 0 or (given > LONGEST and not whole):
        what = "a whole number from 1 on" if whole else f"a number of seconds, more than 0 and at most {LONGEST:.0f}"
        raise block.fault(f"is {what}; this is {given!r}.")
    return given if whole else float(given)


def _filled(text: str, form: Form, where: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in environ:
            raise SettingError(f"{where} the environment has no {found[1]}.")
        given = environ[found[1]]
        if form == "url" and found[0] != text:
            redact.learn(given)
            return quote(given, safe="")
        return given

    filled = _VARIABLE.sub(value, text)
    if form == "secret":
        redact.learn(filled)
    if "://" in filled:
        learn_url(filled)
    if form == "url" and not filled.startswith(_WEB):
        raise SettingError(f"{where} with the environment's values in it, it is no address.")
    return filled


def _near(word: str, names: Sequence[str], *, listed: bool = True) -> str:
    return did_you_mean(word, names, otherwise=f"; there are {', '.join(names)}." if listed else ".")
