"""Response headers: who answered, why, after how many attempts, for how much."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from equipoise.core.model import NANO_PER_USD, NanoUSD

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply
    from equipoise.gateway.given import GivenStream

Fields: TypeAlias = list[tuple[bytes, bytes]]

MAX_VALUE = 200
JSON = (b"content-type", b"application/json")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
# A field value may hold visible Latin-1, space and tab (RFC 9110, 5.5); C0 and C1 controls become spaces.
_VISIBLE = bytes(32 if code < 32 or 127 <= code < 160 else code for code in range(256))


def clean(text: str) -> bytes:
    """Any text as a harmless field value: no control characters, Latin-1 only, bounded length."""
    return text[:MAX_VALUE].encode("latin-1", "replace").translate(_VISIBLE).strip()


def dollars_field(amount: NanoUSD) -> bytes:
    """Nine decimals, so that a sum over headers is exact."""
    return b"%d.%09d" % divmod(amount, NANO_PER_USD)


def of_reply(request_id: str, reply: Reply, warning: str | None, started: float) -> Fields:
    """All of them, for a whole answer. `started` is `perf_counter` when the request arrived here."""
    waited = reply.duration - reply.overhead
    spent = time.perf_counter() - started - waited
    own = b"%.3f" % (spent * 1e3 if spent > 0.0 else 0.0)
    decision = reply.decision
    fields = [
        JSON,
        (b"x-request-id", request_id.encode()),
        *answered_by(decision.backend_id, reply.answer.model[:MAX_VALUE], decision.strategy),
        (b"x-equipoise-reason", clean(decision.reason)),
        (b"x-equipoise-attempts", b"%d" % len(reply.attempts)),
        (b"x-equipoise-cost-usd", dollars_field(reply.cost)),
        (b"x-equipoise-cost-source", reply.cost_source.encode()),
        (b"x-equipoise-overhead-ms", own),
        (b"server-timing", b"equipoise;dur=%b, upstream;dur=%.3f" % (own, waited * 1e3)),
    ]
    if reply.quality is not None:
        fields.append((b"x-equipoise-quality", b"%.3f" % reply.quality))
    if reply.escalated_from is not None:
        name, quality = reply.escalated_from
        fields.append((b"x-equipoise-escalated-from", clean(f"{name}; quality={quality:.3f}")))
    return _more(fields, reply, warning)


@lru_cache(maxsize=512)
def answered_by(backend_id: str, model: str, strategy: str) -> tuple[tuple[bytes, bytes], ...]:
    """The fields whose values come again and again, made once; `model` is an upstream's word, and bounded."""
    return (
        (b"x-equipoise-backend", clean(backend_id)),
        (b"x-equipoise-model", clean(model)),
        (b"x-equipoise-strategy", clean(strategy)),
    )


def of_stream(request_id: str, stream: AnswerStream | GivenStream, warning: str | None, content_type: bytes) -> Fields:
    """What is known when the first piece is there; cost and the rest come with the last chunk."""
    fields = [
        (b"content-type", content_type),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        (b"x-request-id", request_id.encode()),
        *answered_by(stream.backend_id, stream.model[:MAX_VALUE], stream.strategy),
        (b"x-equipoise-reason", clean(stream.reason)),
        (b"x-equipoise-attempts", b"%d" % (len(stream.attempts) + 1)),
    ]
    return _more(fields, stream, warning)


def canary(role: str) -> Fields:
    """Which side of a canary or a migration answered; nothing where there is one only."""
    side = b"control" if role == "rescue" else role.encode()
    return [(b"x-equipoise-canary", side)] if role != "answer" else []


def _more(fields: Fields, told: Reply | AnswerStream | GivenStream, warning: str | None) -> Fields:
    if told.fallback_from is not None:
        fields.append((b"x-equipoise-fallback-from", clean(told.fallback_from)))
    if told.corpus is not None:
        fields.append((b"x-equipoise-corpus", clean(told.corpus)))
    if warning is not None:
        fields.append((b"x-equipoise-warning", clean(warning)))
    if told.role != "answer":
        fields += canary(told.role)
    return fields
