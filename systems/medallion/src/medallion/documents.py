"""Files that operators write: an organization, its campaigns, a secret; and the settings that hold for a command."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, TypeGuard

import yaml
from pydantic import ValidationError

import penstock as ps
from medallion.feeds import Campaign
from medallion.pipelines import Organization
from medallion.settings import Settings

_LARGEST: Final = 256 * 1024
_FIELDS: Final = ("campaign_id", "name", "budget", "starts", "ends")


def organization_in(file: Path) -> Organization:
    """An organization as a YAML or JSON file has it.

    Raises:
        InvalidData: The file cannot be read or does not fit; the message names the field.
    """
    try:
        text = _text(file)
        body: Any = yaml.safe_load(text)
        return Organization.model_validate(body)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ps.InvalidData(f"{file}{line}: this is no YAML: {getattr(error, 'problem', error)}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise ps.InvalidData(f"{file}: {where}: {fault['msg']}.") from None


def campaigns_in(file: Path) -> list[Campaign]:
    """Campaigns as a CSV file has them.

    Raises:
        InvalidData: The file does not fit; the message names the line.
    """
    rows = csv.DictReader(_text(file).splitlines())
    if missing := [name for name in _FIELDS if name not in (rows.fieldnames or ())]:
        raise ps.InvalidData(f"{file}: there is no column {', '.join(missing)}; there have to be {', '.join(_FIELDS)}.")
    return [_campaign(file, rows.line_num, row) for row in rows]


def _campaign(file: Path, line: int, row: dict[str, str]) -> Campaign:
    try:
        budget = Decimal(row["budget"])
        starts, ends = date.fromisoformat(row["starts"]), date.fromisoformat(row["ends"])
    except (InvalidOperation, TypeError):
        raise ps.InvalidData(f"{file}, line {line}: budget={row['budget']!r} is no amount.") from None
    except ValueError as error:
        raise ps.InvalidData(f"{file}, line {line}: {error}.") from None
    if not budget.is_finite() or budget <= 0:
        raise ps.InvalidData(f"{file}, line {line}: budget={row['budget']!r} has to be above 0.")
    if ends < starts:
        raise ps.InvalidData(f"{file}, line {line}: ends={ends} is before starts={starts}.")
    if not row["campaign_id"]:
        raise ps.InvalidData(f"{file}, line {line}: there is no campaign_id.")
    return Campaign(row["campaign_id"], row["name"] or None, budget, starts, ends)


def secret_in(content: str | bytes) -> dict[str, Any]:
    """A secret as JSON; what is wrong with it is told without repeating any of it.

    Raises:
        InvalidData: It is no JSON object.
    """
    try:
        body = json.loads(content)
    except json.JSONDecodeError as error:
        raise ps.InvalidData(f"The secret is no JSON (line {error.lineno}, column {error.colno}).") from None
    except UnicodeDecodeError:
        raise ps.InvalidData("The secret is no UTF-8; save it so.") from None
    return _object(body)


def _object(body: Any) -> dict[str, Any]:
    if not _is_object(body) or not body:
        raise ps.InvalidData(
            'The secret is a JSON object, such as {"client_id": …, "client_secret": …, "refresh_token": …}.'
        )
    return body


def _is_object(body: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(body, dict)


def settings_here() -> Settings:
    """The settings for a command outside of a run: what the environment says.

    Raises:
        SettingError: A value does not fit; the message names it, and no secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        name = "MEDALLION_" + "_".join(str(part) for part in fault["loc"]).upper()
        raise ps.SettingError(f"{name}: {fault['msg']}.") from None


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _LARGEST:
            raise ps.InvalidData(f"{file} has more than {_LARGEST:,} bytes. Is it the right file?")
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ps.InvalidData(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ps.InvalidData(f"{file} is no UTF-8; save it so.") from None
