"""The beginning of a prompt, for backends that keep what they computed of one.

A server with a prefix cache (vLLM's automatic prefix caching, SGLang's radix tree, an engine's own) reads a prompt's known
beginning for next to nothing. So questions that begin alike should meet at one backend: those of one conversation, and
those with the same instructions or document before them.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from equipoise.core.model import Question

_encode = msgspec.json.Encoder(order="deterministic").encode


def prefix_of(question: Question, characters: int) -> int | None:
    """Return 64 bits that are equal for questions whose first so many characters are: tools, then turns as they come.

    None for a shorter prompt: it changes with every turn, and there is little to keep of it.
    """
    digest, left = blake2b(digest_size=8), characters
    if question.tools:
        tools = _encode(question.tools)[:left]
        digest.update(tools)
        left -= len(tools)
    for message in question.messages:
        if left <= 0:
            break
        turn = f"\0{message.role}\0{message.text[:left]}"[:left]
        digest.update(turn.encode("utf-8", "surrogatepass"))
        left -= len(turn)
    return int.from_bytes(digest.digest()) if left <= 0 else None
