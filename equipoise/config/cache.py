"""What an operator may say of answers that are kept and given again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from equipoise.config.fields import Count, NotNegative, Positive, Section

MEBIBYTE = 1024 * 1024


class CacheConfig(Section):
    """How much memory kept answers may take, over all routes."""

    max_bytes: Count = 256 * MEBIBYTE
    """Bytes of kept answers; beyond them the one that was not asked for the longest goes."""
    max_answer_bytes: Count = MEBIBYTE
    """Longest answer that is kept."""


class RouteCacheConfig(Section):
    """How long the answers of a route may be given again."""

    ttl_seconds: Positive = 3600.0
    """Seconds an answer is given again."""
    stale_seconds: NotNegative = 0.0
    """Seconds after those in which it is still given, while the question is asked anew beside it."""
    max_temperature: NotNegative = 1.0
    """Questions that want a higher temperature are always asked anew; one that names none counts as 1."""


def _switched(said: Any) -> Any:
    """`true` is a section that says nothing, `false` is none."""
    return ({} if said else None) if isinstance(said, bool) else said


RouteCache = Annotated[
    RouteCacheConfig | None, BeforeValidator(_switched, json_schema_input_type=RouteCacheConfig | bool | None)
]
