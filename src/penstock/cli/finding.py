"""Where the app is: the first place that says so, and else the only file here that makes one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.faults import WrongUse, say, shown_path
from penstock.config import Settings, find_file
from penstock.model.errors import SettingError

if TYPE_CHECKING:
    from penstock.app import App

GROUP = "penstock.apps"
GUESSED = ("app.py", "pipelines.py", "main.py")
_MAKES_AN_APP = re.compile(r"^\s*(?:from\s+penstock[.\w]*\s+import|import\s+penstock)\b", re.MULTILINE)
_CALLS_APP = re.compile(r"\bApp\(")


@dataclass(frozen=True, slots=True)
class Place:
    """What names the app, who said so, and the folder that a relative name is meant from."""

    target: str
    source: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Found:
    """The app, and the words for where it was found: `aegis.pipelines:app, from pyproject.toml`."""

    app: App
    where: str


def find_app(settings: Settings) -> Found:
    """The app of this command.

    Raises:
        WrongUse: None is named and none, or more than one, is here.
        SettingError: What is named is not there, or is no app.
        DefinitionError: The app is written wrong.
        AppBroken: Its module fails on import.
    """
    from penstock.cli.importing import load

    place = named(settings) or installed() or guessed(Path.cwd())
    if place is None:
        raise WrongUse(_nothing())
    return Found(load(place), f"{place.target}, from {place.source}")


def named(settings: Settings) -> Place | None:
    """What `--app`, PENSTOCK_APP, penstock.yaml or pyproject.toml say, in this order."""
    here = Path.cwd()
    if settings.app is not None:
        source = settings.sources.get("app", "flag")
        if source == "flag":
            return Place(settings.app, "--app", here)
        if source.startswith("environment"):
            return Place(settings.app, "PENSTOCK_APP", here)
        file = find_file(here)
        return Place(settings.app, "penstock.yaml", file.parent if file else here)
    project = next(
        (path / "pyproject.toml" for path in (here, *here.parents) if (path / "pyproject.toml").is_file()), None
    )
    target = None if project is None else _in_project(project)
    return Place(target, "pyproject.toml", project.parent) if project and target else None


def installed() -> Place | None:
    """The installed app, if there is one only; says so on stderr where a file here makes another."""
    apps = installed_apps()
    if len(apps) != 1:
        return None
    name = apps[0][0]
    passed_over = [shown_path(path) for path in _candidates(Path.cwd()) if _makes_app(path)]
    if passed_over:
        say(f"Using the installed app {name}; for the one here: penstock --app {passed_over[0]} …")
    return Place(name, "the installed apps", Path.cwd())


def installed_apps() -> list[tuple[str, str]]:
    """Name and target of every app that installed packages register."""
    from importlib.metadata import entry_points

    return sorted({(point.name, point.value) for point in entry_points(group=GROUP)})


def guessed(folder: Path) -> Place | None:
    """The only file with a usual name that makes an app, here or in `src/*/`; says on stderr which it took.

    Raises:
        WrongUse: There are several.
    """
    found = [path for path in _candidates(folder) if _makes_app(path)]
    if not found:
        return None
    names = [shown_path(path) for path in found]
    if len(found) > 1:
        raise WrongUse(
            f"Several files here make an App: {', '.join(names)}. Say which: penstock --app {names[0]} …, "
            f'or in pyproject.toml [tool.penstock] app = "{names[0]}".'
        )
    say(f"Using the app in {names[0]}.")
    return Place(names[0], "the files here", folder)


def _candidates(folder: Path) -> Iterator[Path]:
    for base in (folder, *sorted(path for path in folder.glob("src/*") if path.is_dir())):
        yield from (base / name for name in GUESSED if (base / name).is_file())


def _makes_app(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return bool(_MAKES_AN_APP.search(text) and _CALLS_APP.search(text))


def _in_project(path: Path) -> str | None:
    import tomllib

    try:
        body: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{shown_path(path)} cannot be read: {error}") from None
    table = body.get("tool", {}).get("penstock", {})
    target = table.get("app") if isinstance(table, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if target is not None and not isinstance(target, str):
        raise SettingError(f'{shown_path(path)}: [tool.penstock] app is text such as "aegis.pipelines:app".')
    return target


def _nothing() -> str:
    apps = ", ".join(name for name, _ in installed_apps()) or "none"
    return (
        "No app found. Say where it is: penstock --app aegis.pipelines:app …, or in pyproject.toml [tool.penstock] "
        'app = "aegis.pipelines:app". Looked for: --app, PENSTOCK_APP, penstock.yaml, pyproject.toml, installed apps '
        f"({apps}), app.py, pipelines.py, main.py."
    )
