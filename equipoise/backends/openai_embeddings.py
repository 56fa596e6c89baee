"""Replies of `/embeddings`: passed on as they are, decoded no further than what they cost."""

from __future__ import annotations

import msgspec

from equipoise.backends.classify import Blame, malformed, no_answer, reported
from equipoise.backends.errors import UNREADABLE, error_of
from equipoise.backends.openai_reply import ChatUsage
from equipoise.core.model import Answer, Request, Usage


class Embeddings(msgspec.Struct):
    """The fields that are not the vectors themselves."""

    data: list[msgspec.Raw] | None = None
    usage: ChatUsage | None = None
    model: str | None = None
    error: msgspec.Raw | None = None


_typed = msgspec.json.Decoder(Embeddings)


def embedded(body: bytes, request: Request, blame: Blame) -> Answer:
    """The answer to a question for embeddings. Raises BackendError for an error in a 200, and for no vectors."""
    try:
        reply = _typed.decode(body)
    except UNREADABLE as error:
        raise malformed("the reply holds no embeddings", blame) from error
    if reply.error is not None and bytes(reply.error) != b"null":
        raise reported(error_of({"error": msgspec.json.decode(reply.error)}, blame.secret), blame)
    usage = reply.usage.counted() if reply.usage else Usage(input_tokens=request.input_tokens, estimated=True)
    cost = reply.usage.metered() if reply.usage else None
    if not reply.data:
        raise no_answer("the reply holds no vectors", blame, usage=usage, cost=cost)
    return Answer(usage=usage, metered_cost=cost, model=reply.model or "", raw=body)
