"""From the words that name an app to the app: imports the user's module and says in short what is wrong with it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.cli import finding
from penstock.cli.faults import innermost, shown_path
from penstock.model.errors import PenstockError, SettingError
from penstock.model.spelling import did_you_mean

if TYPE_CHECKING:
    from penstock.app import App


class AppBroken(PenstockError):  # noqa: N818 - reads as what it says
    """The app's module raised something on import; the message says what and where."""


def load(place: finding.Place) -> App:
    """Import what is named and take the app out of it.

    Raises:
        SettingError: It is not there, or is no app.
        DefinitionError: The app is written wrong.
        AppBroken: The module fails on import.
    """
    for folder in (place.folder / "src", place.folder):
        _on_path(folder)
    name, _, attribute = place.target.partition(":")
    apps = dict(finding.installed_apps())
    if place.target in apps and not _is_file(name):
        name, _, attribute = apps[place.target].partition(":")
    module = _from_file(place, name) if _is_file(name) else _module(place, name, apps)
    return _app_of(place, module, attribute)


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _on_path(folder: Path) -> None:
    if folder.is_dir() and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _from_file(place: finding.Place, name: str) -> ModuleType:
    path = (place.folder / Path(name).expanduser()).resolve()
    if not path.is_file():
        there = [shown_path(file) for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise SettingError(f"{_said(place)}: there is no file {name}{did_you_mean(name, there)}")
    top = path.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    if top.parent.name == "src":  # src/NAME without __init__.py is a package all the same
        top = top.parent
    _on_path(top)
    dotted = ".".join(path.relative_to(top).with_suffix("").parts)
    module = _import(place, dotted)
    if Path(module.__file__ or "").resolve() == path:
        return module
    return _by_path(place, dotted, path)  # another module has this name already


def _by_path(place: finding.Place, dotted: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(dotted, path)
    if spec is None or spec.loader is None:
        raise SettingError(f"{_said(place)}: {shown_path(path)} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[dotted] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[dotted]
        raise _broken(error, path.name) from error
    return module


def _module(place: finding.Place, name: str, apps: dict[str, str]) -> ModuleType:
    try:
        return _import(place, name)
    except ModuleNotFoundError:
        here = [".".join(file.with_suffix("").relative_to(place.folder).parts) for file in place.folder.glob("*.py")]
        source = place.folder / "src"
        here += [".".join(file.with_suffix("").relative_to(source).parts) for file in source.glob("**/*.py")]
        raise SettingError(
            f"{_said(place)}: there is no module {name}{did_you_mean(name, [*here, *apps])} "
            f"Looked in {shown_path(place.folder)}, its src/, and what is installed."
        ) from None


def _import(place: finding.Place, name: str) -> ModuleType:
    """The module; ModuleNotFoundError only if it is this very module that is not there."""
    try:
        return importlib.import_module(name)
    except PenstockError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise
        raise _broken(error, name) from error
    except (ValueError, TypeError) as error:
        if not all(part.isidentifier() for part in name.split(".")):
            raise SettingError(f"{_said(place)}: that is no module:attribute, file.py or installed app.") from None
        raise _broken(error, name) from error
    except (Exception, SystemExit) as error:
        raise _broken(error, name) from error


def _broken(error: BaseException, name: str) -> PenstockError:
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{shown_path(error.filename)}:{error.lineno}"
    else:
        place = innermost(error.__traceback__) or name
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    return AppBroken(
        f"{place}: {type(error).__name__}: {words or 'no message'}. The app cannot be imported; "
        "penstock --traceback … shows all of it."
    )


def _app_of(place: finding.Place, module: ModuleType, attribute: str) -> App:
    from penstock.app import App

    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    if not attribute:
        only = list({id(app): app for app in apps.values()}.values())
        if "app" in apps:
            return apps["app"]
        if len(only) == 1:
            return only[0]
        what = f"has several ({', '.join(apps)}): say {place.target}:{next(iter(apps))}" if apps else "makes no App"
        raise SettingError(f"{_said(place)}: {module.__name__} {what}.")
    value: Any = getattr(module, attribute, None)
    if value is None:
        known = [*apps, *(name for name, what in vars(module).items() if inspect.isfunction(what))]
        raise SettingError(f"{_said(place)}: {module.__name__} has no {attribute}{did_you_mean(attribute, known)}")
    if inspect.isfunction(value):
        value = _made_by(place, value)
    if not isinstance(value, App):
        raise SettingError(f"{_said(place)}: {attribute} is a {type(value).__name__}, and no ps.App.")
    return value


def _made_by(place: finding.Place, function: Any) -> object:
    if inspect.signature(function).parameters:
        raise SettingError(
            f"{_said(place)}: {function.__name__} takes parameters; a function that makes an App has none."
        )
    try:
        return function()
    except Exception as error:
        raise _broken(error, function.__name__) from error


def _said(place: finding.Place) -> str:
    return f"{place.target} (from {place.source})"
