"""What a question is about, as sixteen numbers: a static embedding and a fixed projection.

Needs the extra `semantic`. The embedding is WordLlama's (256 numbers a token, averaged); its two files are read directly,
so nothing is fetched. The projection is part of this version: principal components of public questions (ParetoBandit,
LLMRouter, RouterArena, PubMedQA; each collection counted alike, no labels), each of unit spread.
"""

from equipoise.semantic.embedding import Embedding, EmbeddingMissing, load_embedding

__all__ = ["Embedding", "EmbeddingMissing", "load_embedding"]
