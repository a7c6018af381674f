"""What can be set: `MEDALLION_…` in the environment, then the `settings:` block of `penstock.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

_FILE = "penstock.yaml"


class Settings(BaseSettings):
    """The settings of medallion; the database's are Penstock's own.

    Attributes:
        credentials_key: Keys of the credentials in the database, separated by commas: the first encrypts, all of them
            decrypt. `python -m medallion new-key` makes one.
        dsp_url: Where the DSP's reporting API is; DV360's by default.
        dsp_token_url: Where a refresh token is changed for an access token; Google's by default.
        dsp_poll_seconds: How long until a report is asked for the first time; then twice as long each time, up to 60.
        landing_dir: The folder that reports are kept in as they were received.
        settle_seconds: How long a file in a drop folder must have been left alone before it is taken.
        days_back: How many days, yesterday the last of them, are wanted of a feed when nobody names a range.
        restate_days: How many days back a DSP may still change its figures: these are fetched anew each day.
        least_score: Per cent of valid rows below which a day is not published.
    """

    model_config = SettingsConfigDict(env_prefix="MEDALLION_", frozen=True)

    credentials_key: SecretStr = SecretStr("")
    dsp_url: str | None = None
    dsp_token_url: str | None = None
    dsp_poll_seconds: float = Field(default=5, gt=0, le=60)
    landing_dir: Path = Path(".penstock") / "landings"
    settle_seconds: float = Field(default=10, ge=0)
    days_back: int = Field(default=7, ge=1, le=3660)
    restate_days: int = Field(default=3, ge=0, le=3660)
    least_score: float = Field(default=50, ge=0, le=100)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Commands ask for settings outside of a run too, so the file is read here as Penstock reads it in one."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            InitSettingsSource(settings_cls, init_kwargs=_block(Path.cwd())),
        )


def _block(here: Path) -> dict[str, Any]:
    """The `settings:` block of the nearest file upwards; of a file that cannot be read Penstock tells in its words."""
    import yaml

    found = next((path / _FILE for path in (here, *here.parents) if (path / _FILE).is_file()), None)
    if found is None:
        return {}
    try:
        body: Any = yaml.safe_load(found.read_text(encoding="utf-8-sig"))
        return dict(body["settings"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}
