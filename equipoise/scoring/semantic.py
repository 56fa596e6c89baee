"""Whether two texts are about the same, by static word vectors; needs the extra `semantic`.

Only a guard against what is off topic: within one question, closeness to it says nothing of which answer is better.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

WEIGHTS, TOKENIZER = "l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json"
TOPICAL, UNRELATED = 0.35, 0.05
"""Cosines between which closeness rises from 0 to 1: PubMedQA's own conclusions and others'."""

CHARACTERS = 1_500
"""Characters of each text that are read."""


class NoVectors(ImportError):
    """The extra is not installed, or holds other files than expected; the message says what to do."""


class Closeness:
    """How close two texts are, in [0, 1], in about 0.3 ms.

    The files are read as they lie in the wheel: its own loader looks for the tokenizer in another folder and, not
    finding it, on the network. Raises NoVectors.
    """

    def __init__(self) -> None:
        try:
            self._numpy: Any = importlib.import_module("numpy")
            tokenizers: Any = importlib.import_module("tokenizers")
            files = importlib.metadata.files("wordllama") or []
            found = {file.name: Path(str(file.locate())) for file in files if file.name in (WEIGHTS, TOKENIZER)}
            self._matrix = _matrix(self._numpy, found[WEIGHTS])
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(found[TOKENIZER]))
        except (ImportError, KeyError, OSError) as error:
            raise NoVectors("word vectors need the extra: pip install 'equipoise[semantic]'") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._vector = lru_cache(maxsize=256)(self._embedded)

    def __call__(self, question: str, text: str) -> float:
        """Return how close they are."""
        cosine = float(self._vector(question[:CHARACTERS]) @ self._embedded(text[:CHARACTERS]))
        return min(1.0, max(0.0, (cosine - UNRELATED) / (TOPICAL - UNRELATED)))

    def _embedded(self, text: str) -> Any:
        numpy = self._numpy
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        mean = self._matrix[ids or [0]].astype(numpy.float32).mean(axis=0)
        return mean / (numpy.linalg.norm(mean) or 1.0)


def _matrix(numpy: Any, path: Path) -> Any:
    """The one half-precision matrix of a safetensors file: 8 bytes of length, a JSON header, then the numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    shape = json.loads(data[8 : 8 + length])["embedding.weight"]["shape"]
    return numpy.frombuffer(data, dtype=numpy.float16, offset=8 + length).reshape(shape)
