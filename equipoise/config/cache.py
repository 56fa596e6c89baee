"""What an operator may say of answers that are kept and given again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from equipoise.config.fields import Count, NotNegative, Positive, Section, Share

MEBIBYTE = 1024 * 1024


def _switched(said: Any) -> Any:
    """`true` is a section that says nothing, `false` is none."""
    return ({} if said else None) if isinstance(said, bool) else said


class SemanticCacheConfig(Section):
    """Answers given to the same question in other words. Needs the extra `semantic`."""

    threshold: Annotated[Share, Field(ge=0.5)] = 0.85
    """Likeness of two questions, from which on their words are compared one by one."""
    max_entries: Count = 10_000
    """Most questions that are remembered for it."""
    max_bytes: Count = 32 * MEBIBYTE
    """Bytes they may take; beyond them the one that was not asked for the longest goes."""


class RedisCacheConfig(Section):
    """Answers that the gateways of one fleet keep for each other, in the Redis of `shared.redis`."""

    lookup_timeout_ms: Annotated[Positive, Field(le=5)] = 5.0
    """Milliseconds a question may wait for it, when no answer is kept here; while Redis is unwell it does not wait."""
    max_entry_bytes: Count = MEBIBYTE
    """Longest entry that is kept there, compressed."""


class CacheConfig(Section):
    """How much memory kept answers may take, over all routes."""

    max_bytes: Count = 256 * MEBIBYTE
    """Bytes of kept answers; beyond them the one that was not asked for the longest goes."""
    max_answer_bytes: Count = MEBIBYTE
    """Longest answer that is kept."""
    semantic: Annotated[SemanticCacheConfig | None, BeforeValidator(_switched)] = None
    """Whether, and how, the same question in other words gets a kept answer; off when absent."""
    redis: Annotated[RedisCacheConfig | None, BeforeValidator(_switched)] = None
    """Whether answers are also kept for the other gateways of the fleet; off when absent. Needs `shared.redis`."""


class RouteCacheConfig(Section):
    """How long the answers of a route may be given again."""

    ttl_seconds: Positive = 3600.0
    """Seconds an answer is given again."""
    stale_seconds: NotNegative = 0.0
    """Seconds after those in which it is still given, while the question is asked anew beside it."""
    max_temperature: NotNegative = 1.0
    """Questions that want a higher temperature are always asked anew; one that names none counts as 1."""
    semantic: bool = True
    """Whether `cache.semantic`, where it is on, goes for this route."""


RouteCache = Annotated[
    RouteCacheConfig | None, BeforeValidator(_switched, json_schema_input_type=RouteCacheConfig | bool | None)
]
