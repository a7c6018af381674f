"""Building blocks for step handlers. Loaded when they are first used, so that importing this costs nothing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.data.api.client import Api
    from penstock.data.landing import Landed, land
    from penstock.data.llm.client import Llm
    from penstock.data.sources.faults import BadRow
    from penstock.data.sources.reading import read, read_batches

__all__ = ["Api", "BadRow", "Landed", "Llm", "land", "read", "read_batches"]

_HOME = {
    "api": ("Api",),
    "landing": ("Landed", "land"),
    "llm.client": ("Llm",),
    "sources.faults": ("BadRow",),
    "sources.reading": ("read", "read_batches"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        msg = f"module 'penstock.data' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"penstock.data.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
