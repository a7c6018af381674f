"""For the authors of pipelines and of adapters: simulate, call directly, or test on a database of one's own.

`Simulation` runs a pipeline in memory on a virtual clock. `context` is for calling one handler as the function that it
is. `database` gives a test a PostgreSQL database of its own. `servers` stand for the world outside, on real sockets and
with faults on demand. `contracts` are the suites that ledgers and engines must pass; they need pytest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.testing import contracts, servers
    from penstock.testing.direct import context
    from penstock.testing.postgres import Database, database
    from penstock.testing.simulation import Simulation

__all__ = ["Database", "Simulation", "context", "contracts", "database", "servers"]

_HOME = {"Database": "postgres", "Simulation": "simulation", "context": "direct", "database": "postgres"}


def __getattr__(name: str) -> Any:
    if name in ("contracts", "servers"):
        return import_module(f"penstock.testing.{name}")
    if name not in _HOME:
        msg = f"module 'penstock.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"penstock.testing.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
