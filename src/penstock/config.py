"""One typed settings object, and where each of its values came from.

Flag, then environment, then `penstock.yaml`, then default. The environment is `PENSTOCK_NAME`; the database may also
be given by `POSTGRES_HOST`, `_PORT`, `_DATABASE`, `_USER`, `_PASSWORD`, and the level of logs by `LOG_LEVEL`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from penstock.model.errors import SettingError
from penstock.model.etl_block import EtlBlock, parse_etl
from penstock.model.narrowing import is_mapping
from penstock.model.notifying import Notify, parse_notify
from penstock.model.publishing import Publishing, parse_events
from penstock.model.redaction import learn_environment, learn_url, masked, redact
from penstock.model.spelling import did_you_mean
from penstock.model.yaml_text import Document, parse

FILE: Final = "penstock.yaml"
LARGEST: Final = 256 * 1024
"""Bytes of that file; settings of a kilobyte are large already."""
RANGES: Final[Mapping[str, tuple[str, int, int]]] = {
    "lanes": ("runs at once", 1, 10_000),
    "grace": ("seconds", 0, 7 * 86_400),
    "http_port": ("a TCP port", 0, 65_535),
    "grpc_port": ("a TCP port", 0, 65_535),
    "http_rate": ("requests a minute", 1, 10_000_000),
    "http_body": ("bytes", 1_024, 256 * 1024 * 1024),
}
"""What the number is, the least and the most."""
SWITCH: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
POSTGRES: Final = ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")


NO_SETTINGS: Final = ("file", "sources", "user", "notify", "events", "etl")
ACTIVITIES: Final = "etl.workers.max_concurrent_activities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set.

    Attributes:
        app: Where the app is, as `module:attribute`, `module`, `file.py` or an installed name.
        database_url: A libpq URL; None starts an embedded server under `home`.
        home: The folder of the embedded server, of runs' working folders and of landed files.
        lanes: Runs at once in one process.
        grace: Seconds that steps may take to finish when the process is asked to stop.
        log_level: The least level of logs that is kept and shown.
        host: The address on which a service listens.
        http_port: Where it speaks REST; 0 takes any free one.
        grpc_port: Where it speaks gRPC.
        http_rate: Requests a minute that one token may make of one process.
        http_body: Bytes that the body of a request may have.
        tls_cert: The file of the certificate chain (PEM); with it the service speaks TLS by itself.
        tls_key: The file of its key.
        behind_tls: Something before the service speaks TLS to the callers.
        traces: The URL to which OpenTelemetry traces go by OTLP over HTTP; None makes none.
    """

    app: str | None = None
    database_url: str | None = field(default=None, repr=False)
    home: Path = Path(".penstock")
    lanes: int = 4
    grace: float = 30.0
    log_level: str = "INFO"
    host: str = "127.0.0.1"
    http_port: int = 8004
    grpc_port: int = 9004
    http_rate: int = 600
    http_body: int = 1_048_576
    tls_cert: str | None = None
    tls_key: str | None = None
    behind_tls: bool = False
    traces: str | None = None
    file: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    user: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    notify: Notify | None = None
    events: Publishing | None = None
    etl: EtlBlock | None = None

    @property
    def level(self) -> int:
        """The level of logs as a number."""
        return LEVELS[self.log_level]

    def shown(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each setting; passwords are left out of it."""
        names = [f.name for f in fields(self) if f.name not in NO_SETTINGS]
        own = [(name, _show(name, getattr(self, name)), self.sources.get(name, "default")) for name in names]
        written: Mapping[str, str] = {} if self.etl is None else self.etl.written
        return own + [(name, value, str(self.file)) for name, value in written.items()]


SETTABLE: Final = tuple(f.name for f in fields(Settings) if f.name not in NO_SETTINGS)


def load_settings(
    flags: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """The settings that hold here.

    Args:
        flags: What the command line says; None values say nothing.
        environ: The environment; the process's by default.
        folder: Where `penstock.yaml` is looked for, upwards; the current folder by default.

    Raises:
        SettingError: A value does not fit; the message names it and where it came from.
    """
    environ = os.environ if environ is None else environ
    here = (folder or Path.cwd()).resolve()
    file = find_file(here)
    document = read_file(file) if file else Document({}, {})
    body = document.body
    known = sorted({"app", "settings", "notify", "events", "etl", *SETTABLE})
    for name in body:
        if name not in known:
            line = document.lines.get(name, 1)
            hint = did_you_mean(name, known, otherwise=f"; there are {', '.join(known)}.", quoted=True)
            raise SettingError(f"{file}, line {line}: there is no setting {name!r}{hint}")
    learn_environment(environ)
    etl = parse_etl(body.get("etl"), file, document.places)
    found: dict[str, tuple[Any, str]] = {}
    for name in SETTABLE:
        if (value := (flags or {}).get(name)) is not None:
            found[name] = (value, "flag")
        elif (value := environ.get(f"PENSTOCK_{name.upper()}")) is not None:
            found[name] = (value, f"environment PENSTOCK_{name.upper()}")
        elif name == "log_level" and environ.get("LOG_LEVEL"):
            found[name] = (environ["LOG_LEVEL"], "environment LOG_LEVEL")
        elif name == "database_url" and environ.get("POSTGRES_HOST"):
            found[name] = (_from_parts(environ), "environment POSTGRES_*")
        elif name in body:
            found[name] = (body[name], str(file))
        elif name == "lanes" and etl is not None and etl.max_concurrent_activities is not None:
            found[name] = (etl.max_concurrent_activities, f"{file}, {ACTIVITIES}")
    values = {
        name: _convert(name, value, f"{source}, line {document.lines[name]}" if source == str(file) else source)
        for name, (value, source) in found.items()
    }
    learn_url(values.get("database_url", ""))
    base = file.parent if file else here
    home = Path(values.get("home", Settings().home)).expanduser()
    values["home"] = home if home.is_absolute() else base / home
    return Settings(
        **values,
        file=file,
        sources={name: source for name, (_, source) in found.items()},
        user=_block(body.get("settings"), f"{file}, line {document.lines.get('settings')}"),
        notify=parse_notify(body.get("notify"), file),
        events=parse_events(document, file),
        etl=etl,
    )


def find_file(folder: Path) -> Path | None:
    """The nearest `penstock.yaml` upwards from a folder."""
    return next((path / FILE for path in (folder, *folder.parents) if (path / FILE).is_file()), None)


def read_file(path: Path) -> Document:
    """The settings file as a mapping, with the lines of its names.

    Raises:
        SettingError: It is no YAML mapping; the message names the line.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.") from None
    if len(raw) > LARGEST:
        raise SettingError(f"{path} has {size:,} bytes; settings are at most {LARGEST:,}. Is it the right file?")
    return parse(raw, str(path))


def _block(value: Any, where: str) -> dict[str, Any]:
    """The app's own settings, as they stand."""
    if value is None:
        return {}
    if not is_mapping(value) or not all(isinstance(name, str) for name in value):
        raise SettingError(f"{where}: settings: is a mapping of names to values, such as 'base_url: https://…'.")
    return {str(name): item for name, item in value.items()}


def _from_parts(environ: Mapping[str, str]) -> str:
    part = {name: environ.get(f"POSTGRES_{name}", "") for name in POSTGRES}
    user = quote(part["USER"] or "postgres", safe="")
    password = f":{quote(part['PASSWORD'], safe='')}" if part["PASSWORD"] else ""
    database = quote(part["DATABASE"] or "postgres", safe="")
    if part["HOST"].startswith("/"):  # a Unix socket's folder
        return f"postgresql://{user}{password}@/{database}?host={quote(part['HOST'])}&port={part['PORT'] or '5432'}"
    return f"postgresql://{user}{password}@{part['HOST']}:{part['PORT'] or '5432'}/{database}"


def _convert(name: str, value: Any, source: str) -> Any:
    if name == "behind_tls":
        return _switch(value, f"{name}={redact(str(value)[:200])!r} (from {source})")
    if isinstance(value, dict | list | bool) or value is None:
        kind: str = type(value).__name__  # pyright: ignore[reportUnknownArgumentType] - only its name
        raise SettingError(f"{name} (from {source}) is one value, and not a {kind}; see docs/reference/settings.md.")
    where = f"{name}={redact(str(value)[:200])!r} (from {source})"
    if name in RANGES:
        return _within(where, value, *RANGES[name])
    match name:
        case "traces":
            if not str(value).startswith(("http://", "https://")):
                raise SettingError(f"{where} is no URL of an OTLP collector, such as http://127.0.0.1:4318/v1/traces.")
            return str(value)
        case "log_level":
            level = str(value).upper()
            if level not in LEVELS:
                raise SettingError(f"{where}: use one of {', '.join(LEVELS)}.")
            return level
        case "database_url":
            if not str(value).startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
                shown = masked(str(value))
                raise SettingError(
                    f"database_url={shown!r} (from {source}) is no PostgreSQL URL: "
                    f"postgresql://user:password@host:5432/database."
                )
            return str(value)
        case "home":
            if "\0" in str(value) or not str(value).strip():
                raise SettingError(f"{where} is no folder.")
            return Path(str(value))
        case _:
            return str(value)


def _within(where: str, value: Any, what: str, least: int, most: int) -> Any:
    """The number, if it is in its range: a whole one, but for seconds."""
    number = _number(value, float if what == "seconds" else int, where)
    if not least <= number <= most:
        raise SettingError(f"{where}: {what}, so {least:,} to {most:,}.")
    return number


def _switch(value: Any, where: str) -> bool:
    word = str(value).strip().lower()
    if word not in SWITCH:
        raise SettingError(f"{where}: say true or false.")
    return SWITCH[word]


def _number(value: Any, kind: type[Any], where: str) -> Any:
    try:
        return kind(str(value))  # as text: int(3.7) is 3, and that is not what was written
    except ValueError:
        raise SettingError(f"{where} is no number.") from None


def _show(name: str, value: Any) -> str:
    if value is None:
        return "embedded" if name == "database_url" else "-"
    return masked(value) if name == "database_url" else str(value)
