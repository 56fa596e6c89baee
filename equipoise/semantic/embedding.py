"""The static embedding of a text, projected: a tenth of a millisecond, no model run, no network."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.core.features import MOST, NO_EMBEDDING, window

MODEL, TENSOR = "l2_supercat_256.safetensors", "embedding.weight"
TOKENIZER = "l2_supercat_tokenizer_config.json"


class EmbeddingMissing(RuntimeError):
    """The extra is not installed, or its files are not where they were."""


class Embedding:
    """Sixteen numbers for a text: the same for the same text, near for texts about the same."""

    def __init__(self, tokenizer: Any, table: Any) -> None:
        self._tokenizer = tokenizer
        with resources.as_file(resources.files("equipoise.semantic") / "projection.npy") as file:
            projection = np.load(file)
        self._centre, self._axes = projection[0], projection[1:]
        self._table = table

    def __call__(self, text: str) -> tuple[float, ...]:
        """Return the coordinates, none further than 3 from 0; a text without words is an average one."""
        direction = self.direction(text)
        if direction is None:
            return NO_EMBEDDING
        return tuple(np.clip(self._axes @ (direction - self._centre), -MOST, MOST).tolist())

    def direction(self, text: str) -> Any:
        """Return the embedding itself, an array of length 1 in 256 dimensions; None for a text without words.

        The product of two is their likeness: 1 for the same words in any order.
        """
        tokens = self._tokenizer.encode(window(text), add_special_tokens=False).ids
        if not tokens:
            return None
        mean = self._table[tokens].mean(axis=0, dtype=np.float32)
        length = float(np.sqrt(mean @ mean))
        return mean / length if length else None


def load_embedding() -> Embedding:
    """Read the tables: 19 MB, a tenth of a second. Raises EmbeddingMissing with what to install."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise EmbeddingMissing("the static embedding is not installed: pip install 'equipoise[semantic]'")
    root = Path(spec.origin).parent
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        table = load_file(str(root / "weights" / MODEL))[TENSOR]
        tokenizer = Tokenizer.from_file(str(root / "tokenizers" / TOKENIZER))
    except (ImportError, OSError, KeyError) as error:
        raise EmbeddingMissing(f"the static embedding cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if table.shape[1] != np.load(str(resources.files("equipoise.semantic") / "projection.npy")).shape[1]:
        raise EmbeddingMissing(f"the static embedding has {table.shape[1]} numbers a token, not those of this version")
    return Embedding(tokenizer, table)
