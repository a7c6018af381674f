"""Servers of the world outside, each on a real socket of this machine, with faults on demand.

`openai` speaks OpenAI's chat completions, `dv360` the reporting API of DV360, `webhook` accepts posts, and `http`
answers by a function of yours: `with servers.http() as server`. They need the package h11.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.model.errors import SettingError

if TYPE_CHECKING:
    from penstock.testing.servers.bid_manager import Dv360Server, dv360
    from penstock.testing.servers.chat import Bill, Call, ChatServer, openai
    from penstock.testing.servers.hooks import WebhookServer, webhook
    from penstock.testing.servers.replies import Answer, Cut, Drip, Garbled, Reply, Silent, Turned
    from penstock.testing.servers.web import Request, Sent, WebServer, http

__all__ = [
    "Answer",
    "Bill",
    "Call",
    "ChatServer",
    "Cut",
    "Drip",
    "Dv360Server",
    "Garbled",
    "Reply",
    "Request",
    "Sent",
    "Silent",
    "Turned",
    "WebServer",
    "WebhookServer",
    "dv360",
    "http",
    "openai",
    "webhook",
]

_HOME = {
    "chat": ("Bill", "Call", "ChatServer", "openai"),
    "bid_manager": ("Dv360Server", "dv360"),
    "replies": ("Answer", "Cut", "Drip", "Garbled", "Reply", "Silent", "Turned"),
    "web": ("Request", "Sent", "WebServer", "http"),
    "hooks": ("WebhookServer", "webhook"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        msg = f"module 'penstock.testing.servers' has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        module = import_module(f"penstock.testing.servers.{_WHERE[name]}")
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        msg = "penstock.testing.servers needs the package h11: pip install 'penstock[llm]'."
        raise SettingError(msg) from None
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
