"""Embeddings without a model: each word points somewhere, a text points where its words do."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from typing import Any

import msgspec

from equipoise.http import Request
from equipoise.sandbox.knowledge import tokens
from equipoise.sandbox.openai_request import authenticated, refused
from equipoise.sandbox.script import Script, Turn, document

DIMENSIONS = 64


class Embed(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that change the answer."""

    model: str
    input: str | list[str]
    encoding_format: str = "float"
    dimensions: int = DIMENSIONS

    @property
    def texts(self) -> list[str]:
        """What to embed, always a list."""
        return [self.input] if isinstance(self.input, str) else self.input


def embeddings(request: Request, turn: Turn) -> Script:
    """POST /v1/embeddings: equal texts are equal, texts that share words are near."""
    authenticated(request, turn)
    try:
        asked = msgspec.json.decode(request.body, type=Embed)
    except msgspec.DecodeError as error:
        raise refused(400, f"Invalid request: {error}") from error
    if not 1 <= asked.dimensions <= 4096:
        raise refused(400, "dimensions must lie between 1 and 4096", param="dimensions")
    count = sum(tokens(text) for text in asked.texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    content = {"object": "list", "data": _rows(asked), "model": asked.model, "usage": usage}
    return document(content, pause=turn.pace.first / 4, cost=turn.profile.cost(count, 0))


def _rows(asked: Embed) -> list[dict[str, Any]]:
    vectors = [vector(text, asked.dimensions) for text in asked.texts]
    encoded = [_packed(v) if asked.encoding_format == "base64" else v for v in vectors]
    return [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(encoded)]


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector of the text."""
    sums = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.sha256(word.encode()).digest()
        for position in range(0, 32, 4):
            place = int.from_bytes(digest[position : position + 3], "big") % dimensions
            sums[place] += 1.0 if digest[position + 3] & 1 else -1.0
    length = math.sqrt(sum(x * x for x in sums)) or 1.0
    return [x / length for x in sums]


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
