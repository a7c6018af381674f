"""Building blocks for step handlers. Loaded when they are first used, so that importing this costs nothing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.data.api.client import Api
    from penstock.data.landing import Landed, land
    from penstock.data.llm.client import Llm
    from penstock.data.loading import load
    from penstock.data.publication import Publication
    from penstock.data.querying import query
    from penstock.data.refreshing import refresh
    from penstock.data.sifting import sift
    from penstock.data.sources.faults import BadRow
    from penstock.data.sources.reading import read, read_batches
    from penstock.data.values import Check, Loaded, Quality, Refreshed, Sifted
    from penstock.model.quality import Issue

__all__ = [
    "Api",
    "BadRow",
    "Check",
    "Issue",
    "Landed",
    "Llm",
    "Loaded",
    "Publication",
    "Quality",
    "Refreshed",
    "Sifted",
    "land",
    "load",
    "query",
    "read",
    "read_batches",
    "refresh",
    "sift",
]

_HOME = {
    "data.api": ("Api",),
    "data.landing": ("Landed", "land"),
    "data.llm.client": ("Llm",),
    "data.loading": ("load",),
    "data.publication": ("Publication",),
    "data.querying": ("query",),
    "data.refreshing": ("refresh",),
    "data.sifting": ("sift",),
    "data.sources.faults": ("BadRow",),
    "data.sources.reading": ("read", "read_batches"),
    "data.values": ("Check", "Loaded", "Quality", "Refreshed", "Sifted"),
    "model.quality": ("Issue",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        msg = f"module 'penstock.data' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"penstock.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
