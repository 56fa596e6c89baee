"""OpenAI's embeddings: texts, or tokens that the client counted, and the vectors as the upstream wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.core.backend import EMBEDDINGS
from equipoise.core.model import Message, Question
from equipoise.gateway.dialects.base import Asked, Envelope, Malformed, read
from equipoise.gateway.problems import Problem

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer, Reply
    from equipoise.core.model import Request as Sized

MOST_INPUTS = 2_048
"""OpenAI's own limit of texts in one call."""


class EmbeddingsBody(msgspec.Struct):
    """The fields with a meaning here; the rest goes to the upstream as it is."""

    input: str | list[Any]
    model: str | None = None
    metadata: dict[str, Any] | None = None


_typed = msgspec.json.Decoder(EmbeddingsBody)


def read_embeddings(body: bytes) -> Asked:
    """An embeddings body as a question; texts are joined, tokens only counted."""
    said = read(_typed, body)
    texts, tokens = _inputs(said.input)
    messages = [Message("user", text) for text in texts]
    question = Question(messages=messages, body=body, embeddings=True, tokens=tokens)
    return Asked(question, said.model or "auto", said.metadata)


def _inputs(given: str | list[Any]) -> tuple[list[str], int | None]:
    """The texts, or how many tokens they are: a text, texts, tokens, or lists of tokens."""
    inputs = [given] if isinstance(given, str) else given
    if not inputs or (len(inputs) > MOST_INPUTS and not _are_tokens(inputs)):
        raise Malformed(f"input must hold between 1 and {MOST_INPUTS} texts.", "input")
    if all(isinstance(text, str) for text in inputs):
        if not all(inputs):
            raise Malformed("input must not hold an empty text.", "input")
        return [str(text) for text in inputs], None
    lists = [inputs] if _are_tokens(inputs) else inputs
    if not all(isinstance(tokens, list) and tokens and _are_tokens(tokens) for tokens in lists):
        raise Malformed("input must be a text, a list of texts, or lists of tokens.", "input")
    return [], sum(map(len, lists))


def _are_tokens(values: list[Any]) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def require_one_model(sized: Sized, balancer: LoadBalancer) -> None:
    """Vectors of different models cannot be compared: 400 where chance would decide which model makes them."""
    if sized.pinned is not None:
        return
    route = balancer.selection.routes[sized.route]
    names = {name for step in (route.backends, *route.fallback) for name in step}
    able = [balancer.selection.backends[name].options for name in names]
    models = sorted({of.model or of.id for of in able if EMBEDDINGS in of.supports})
    if len(models) > 1:
        told = (
            f"{sized.route} has embeddings of {', '.join(models)}, which cannot be compared: ask for one by its name."
        )
        raise Problem(400, "ambiguous_model", told, param="model", should_retry=False)


def write_embeddings(reply: Reply, asked: Asked, envelope: Envelope) -> bytes:
    """The upstream's own bytes."""
    return reply.answer.raw or b"{}"
