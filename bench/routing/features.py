"""The product's own features of each question, made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.routing.data import Array
from equipoise.core.features import Describer
from equipoise.semantic import EmbeddingMissing, load_embedding


def describer(*, embedding: bool = True) -> tuple[Describer, bool]:
    """The product's describer, and whether it has an embedding."""
    if not embedding:
        return Describer(), False
    try:
        return Describer(embed=load_embedding()), True
    except EmbeddingMissing:
        return Describer(), False


def described(of: Describer, prompts: Sequence[str]) -> tuple[list[tuple[float, ...]], list[str], Array]:
    """Features and kind of each, and the features with a leading 1 as a matrix."""
    kinds = [of.kind(prompt) for prompt in prompts]
    features = [of.features(prompt, kind) for prompt, kind in zip(prompts, kinds, strict=True)]
    return features, kinds, np.hstack([np.ones((len(features), 1)), np.array(features)])
