"""The response cache of a gateway that is about to serve."""

from __future__ import annotations

from equipoise.build import Estate
from equipoise.build.cache import nearness_of, shared_answers_of
from equipoise.cli.exits import USAGE, Failure
from equipoise.config import Config
from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.elsewhere import Elsewhere
from equipoise.gateway.lookup import CacheLimits


def cache_of(config: Config, estate: Estate) -> ResponseCache:
    """Before the balancer, whatever its routes: a later configuration may have some that keep answers. Raises Failure."""
    limits = CacheLimits(config.cache.max_bytes, config.cache.max_answer_bytes)
    try:
        near = nearness_of(config)
    except ImportError as missing:
        raise Failure(f"cache.semantic: {missing}", USAGE) from missing
    answers = shared_answers_of(config, estate.link)
    elsewhere = Elsewhere(answers, most_bytes=limits.most_answer_bytes) if answers is not None else None
    return ResponseCache(
        estate.balancer, lambda: estate.balancer.selection.routes, limits, near=near, elsewhere=elsewhere
    )
