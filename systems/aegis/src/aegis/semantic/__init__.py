"""The optional extra `semantic`: what statements mean, beside the words they use. Nothing is loaded on import."""

from __future__ import annotations

from aegis.semantic.embedder import MISSING, Embedder, missing_packages, open_embedder
from aegis.semantic.nearest import Embed, nearest_theme, nearest_topics

__all__ = [
    "MISSING",
    "Embed",
    "Embedder",
    "missing_packages",
    "nearest_theme",
    "nearest_topics",
    "open_embedder",
]
