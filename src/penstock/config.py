"""One typed settings object, and where each of its values came from.

Flag, then environment, then `penstock.yaml`, then default. The environment is `PENSTOCK_NAME`; the database may also
be given by `POSTGRES_HOST`, `_PORT`, `_DATABASE`, `_USER`, `_PASSWORD`, and the level of logs by `LOG_LEVEL`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeGuard
from urllib.parse import quote, urlsplit, urlunsplit

from penstock.model.errors import SettingError
from penstock.model.notifying import Notify, parse_notify

FILE: Final = "penstock.yaml"
LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_PASSWORD: Final = re.compile(r"((?:^|&)password=)[^&]*")
POSTGRES: Final = ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")


NO_SETTINGS: Final = ("file", "sources", "user", "notify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set.

    Attributes:
        app: Where the app is, as `module:attribute`, `module`, `file.py` or an installed name.
        database_url: A libpq URL; None starts an embedded server under `home`.
        home: The folder of the embedded server and of runs' working folders.
        lanes: Runs at once in one process.
        grace: Seconds that steps may take to finish when the process is asked to stop.
        log_level: The least level of logs that is kept and shown.
    """

    app: str | None = None
    database_url: str | None = field(default=None, repr=False)
    home: Path = Path(".penstock")
    lanes: int = 4
    grace: float = 30.0
    log_level: str = "INFO"
    file: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    user: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    notify: Notify | None = None

    @property
    def level(self) -> int:
        """The level of logs as a number."""
        return LEVELS[self.log_level]

    def shown(self) -> list[tuple[str, str, str]]:
        """Name, value and source of each setting; passwords are left out of it."""
        names = [f.name for f in fields(self) if f.name not in NO_SETTINGS]
        return [(name, _show(name, getattr(self, name)), self.sources.get(name, "default")) for name in names]


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
    body = read_file(file) if file else {}
    known = {"app", "settings", "notify", "etl", *SETTABLE}
    for name in body:
        if name not in known:
            raise SettingError(f"{file}: there is no setting {name!r}{_near(name, known)}")
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
    values = {name: _convert(name, value, source) for name, (value, source) in found.items()}
    base = file.parent if file else here
    home = Path(values.get("home", Settings().home)).expanduser()
    values["home"] = home if home.is_absolute() else base / home
    return Settings(
        **values,
        file=file,
        sources={name: source for name, (_, source) in found.items()},
        user=body.get("settings") or {},
        notify=parse_notify(body.get("notify"), file),
    )


def find_file(folder: Path) -> Path | None:
    """The nearest `penstock.yaml` upwards from a folder."""
    return next((path / FILE for path in (folder, *folder.parents) if (path / FILE).is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """The settings file as a mapping.

    Raises:
        SettingError: It is no YAML mapping; the message names the line.
    """
    import yaml

    try:
        body: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingError(f"{path}, line {line}: this is no YAML: {error.problem}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from None
    if body is None:
        return {}
    if not _is_mapping(body):
        raise SettingError(f"{path}: settings are a mapping such as 'lanes: 4', this is a {type(body).__name__}.")
    return {str(name): value for name, value in body.items()}


def _is_mapping(body: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(body, dict)


def masked(url: str) -> str:
    """A URL without its password, wherever it stands."""
    parts = urlsplit(url)
    netloc, query = parts.netloc, _PASSWORD.sub(r"\1***", parts.query)
    if parts.password:
        netloc = f"{parts.username or ''}:***@{netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def _from_parts(environ: Mapping[str, str]) -> str:
    part = {name: environ.get(f"POSTGRES_{name}", "") for name in POSTGRES}
    user = quote(part["USER"] or "postgres", safe="")
    password = f":{quote(part['PASSWORD'], safe='')}" if part["PASSWORD"] else ""
    database = quote(part["DATABASE"] or "postgres", safe="")
    if part["HOST"].startswith("/"):  # a Unix socket's folder
        return f"postgresql://{user}{password}@/{database}?host={quote(part['HOST'])}&port={part['PORT'] or '5432'}"
    return f"postgresql://{user}{password}@{part['HOST']}:{part['PORT'] or '5432'}/{database}"


def _convert(name: str, value: Any, source: str) -> Any:
    where = f"{name}={value!r} (from {source})"
    match name:
        case "lanes":
            number = _number(value, int, where)
            if number < 1:
                raise SettingError(f"{where}: at least one run at a time, so 1 or more.")
            return number
        case "grace":
            number = _number(value, float, where)
            if number < 0:
                raise SettingError(f"{where}: seconds, so 0 or more.")
            return number
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
            return Path(str(value))
        case _:
            return str(value)


def _number(value: Any, kind: type[Any], where: str) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise SettingError(f"{where} is no number.") from None


def _near(word: str, known: set[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else f"; there are {', '.join(sorted(known))}."


def _show(name: str, value: Any) -> str:
    if value is None:
        return "embedded" if name == "database_url" else "-"
    return masked(value) if name == "database_url" else str(value)
