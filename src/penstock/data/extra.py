"""The libraries that blocks with frames need, which are an extra."""

from __future__ import annotations

from importlib.util import find_spec

from penstock.model.errors import SettingError


def frames_needed(*more: str) -> None:
    """Refuse to begin where polars, or another library that is named, is not installed.

    Raises:
        SettingError: It says what to install.
    """
    missing = [name for name in ("polars", *more) if find_spec(name) is None]
    if missing:
        raise SettingError(f"Rows as frames need {' and '.join(missing)}: pip install 'penstock[data]'.")
