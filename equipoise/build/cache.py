"""Which answers of a route may be given again, and what would make them answers to another question."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from equipoise.build.background import DAY, ClosedWithTheBalancer
from equipoise.build.store import ledger_in
from equipoise.config import BackendConfig, Config, RouteConfig
from equipoise.core.routing import CacheOptions
from equipoise.stores.reuses import Reuses
from equipoise.stores.shared_answers import SharedAnswers

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer
    from equipoise.semantic.nearness import Nearness
    from equipoise.stores.redis_link import RedisLink

SHAPING = {"backend_type", "model", "preset", "api", "mode", "corpus", "function", "extra_body", "llm_via", "allows"}
"""Fields of a backend that its answers depend on; how fast, dear or well it is changes none."""


def cache_of(of: RouteConfig, config: Config) -> CacheOptions | None:
    if of.cache is None:
        return None
    backends = [config.backend_instances[name] for name in of.backends or config.backend_instances]
    return CacheOptions(
        ttl=of.cache.ttl_seconds,
        stale=of.cache.stale_seconds,
        max_temperature=of.cache.max_temperature,
        version=_version(backends),
        semantic=of.cache.semantic,
    )


def nearness_of(config: Config) -> Nearness | None:
    """What finds kept answers to the same question in other words. Raises ImportError without the extra."""
    if (said := config.cache.semantic) is None:
        return None
    from equipoise.semantic import EmbeddingMissing, load_embedding
    from equipoise.semantic.nearness import Nearness, NearnessOptions

    options = NearnessOptions(said.threshold, said.max_entries, said.max_bytes)
    try:
        return Nearness(load_embedding().direction, options)
    except EmbeddingMissing as missing:
        raise ImportError(str(missing)) from missing


def _version(backends: list[BackendConfig]) -> str:
    """A digest of the kinds of backends behind a route: one more of the same kind changes nothing, another corpus does."""
    kinds = {msgspec.json.encode(of.model_dump(mode="json", include=SHAPING), order="sorted") for of in backends}
    return hashlib.blake2b(b"\0".join(sorted(kinds)), digest_size=8).hexdigest()


def shared_answers_of(config: Config, link: RedisLink | None) -> SharedAnswers | None:
    """Where the fleet keeps answers, if it does. Contacts nobody."""
    if (said := config.cache.redis) is None or link is None:
        return None
    return SharedAnswers(link, seconds=said.lookup_timeout_ms / 1000.0, most_bytes=said.max_entry_bytes)


def reuses_of(config: Config, balancer: LoadBalancer, on_error: Callable[[str], None]) -> Reuses | None:
    """Where answers given again are recorded: in the ledger's file, if there is one."""
    if (database := ledger_in(config)) is None:
        return None
    reuses = Reuses(database, max_age=config.ledger.keep_days * DAY, on_error=on_error)
    balancer.observers.append(reuses.observe)
    balancer.background.append(ClosedWithTheBalancer(reuses))
    return reuses
