"""Servers of the world outside, each on a real socket of this machine, with faults on demand.

`openai` speaks OpenAI's chat completions: `with servers.openai() as server`. They need `penstock[llm]`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.model.errors import SettingError

if TYPE_CHECKING:
    from penstock.testing.servers.chat import Bill, Call, ChatServer, openai
    from penstock.testing.servers.replies import Answer, Cut, Drip, Garbled, Reply, Silent, Turned

__all__ = [
    "Answer",
    "Bill",
    "Call",
    "ChatServer",
    "Cut",
    "Drip",
    "Garbled",
    "Reply",
    "Silent",
    "Turned",
    "openai",
]

_HOME = {
    "chat": ("Bill", "Call", "ChatServer", "openai"),
    "replies": ("Answer", "Cut", "Drip", "Garbled", "Reply", "Silent", "Turned"),
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
