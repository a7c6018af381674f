"""An HTTP API client that spends quotas, obeys the server's limits, classifies what fails and records each call."""

from penstock.model.errors import SettingError

try:
    from penstock.data.api.client import Api
except ModuleNotFoundError as error:
    if error.name not in ("httpx2", "httpcore2"):
        raise
    msg = "penstock.data.Api needs the package httpx2: pip install 'penstock[data]'."
    raise SettingError(msg) from None

__all__ = ["Api"]
