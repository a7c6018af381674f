"""What can be set: `AEGIS_…` in the environment or `.env`, then the `settings:` block of `penstock.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from dotenv import load_dotenv
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

import penstock as ps
from aegis.institutions import DEFAULT_PATH
from aegis.yaml_nodes import LARGEST, compose

_FILE = "penstock.yaml"


class Settings(BaseSettings):
    """The settings of aegis; the database's are Penstock's own.

    Attributes:
        institutions: The file of the monitored institutions.
        reports_dir: The folder that reports are written to; a relative one is taken from the current folder.
        writer: Who writes the sections. `llm` asks a language model, and needs `llm_model` and `llm_key`.
        llm_model: The model's name, as its endpoint knows it.
        llm_url: An endpoint that speaks OpenAI's chat completions; OpenAI's by default.
        llm_key: The key to it.
        llm_prices: US dollars per million tokens by model: `input`, `output`, and where they are known `cached` and, in
            tokens, `context`. List prices are known at the vendors' own endpoints.
        llm_context: Tokens that the model has room for, where the price has none.
        llm_max_tokens: The most tokens of one answer.
        llm_timeout: Seconds for one answer.
        llm_stream: Whether answers are streamed.
        llm_limit: What the endpoint calls the most tokens of an answer.
        semantic: Whether the extractive writer uses the embedding model of the extra `semantic`.
    """

    model_config = SettingsConfigDict(env_prefix="AEGIS_", frozen=True)

    institutions: Path = DEFAULT_PATH
    reports_dir: Path = Path("reports")
    writer: Literal["extractive", "llm"] = "extractive"
    llm_model: str | None = None
    llm_url: str | None = None
    llm_key: SecretStr | None = None
    llm_prices: dict[str, dict[str, Any]] = {}
    llm_context: int | None = Field(default=None, gt=0)
    llm_max_tokens: int = Field(default=4000, gt=0)
    llm_timeout: float = Field(default=300, gt=0)
    llm_stream: bool = False
    llm_limit: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    semantic: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Scripts ask for settings outside of a run too, so the file is read here as Penstock reads it in one."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            InitSettingsSource(settings_cls, init_kwargs=_block(Path.cwd())),
        )


def _block(here: Path) -> dict[str, Any]:
    """The `settings:` block of the nearest file upwards; of a file that cannot be read Penstock tells in its words."""
    found = next((path / _FILE for path in (here, *here.parents) if (path / _FILE).is_file()), None)
    if found is None:
        return {}
    try:
        with found.open("rb") as file:
            text = file.read(LARGEST + 1).decode("utf-8-sig")
        compose(text)  # which refuses what would eat memory
        body: Any = yaml.safe_load(text)
        return dict(body["settings"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}


def load_settings() -> Settings:
    """The settings that hold here, for code outside of runs.

    Raises:
        SettingError: A value does not fit; the message names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = Settings.model_fields.get(str(fault["loc"][0]))
        name = "AEGIS_" + "_".join(str(part) for part in fault["loc"]).upper()
        # What is unknown may be a key under a mistyped name, and what is secret is shown to nobody.
        shown = "" if field is None else "=***" if "Secret" in str(field.annotation) else f"={fault['input']}"
        raise ps.SettingError(f"{name}{shown}: {fault['msg']}.") from None


def read_env_file() -> None:
    """Takes over what `.env` in the current folder sets, where the environment does not."""
    load_dotenv(Path(".env"))
