"""What the response cache does for one question, and what the client is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from equipoise.core.model import NanoUSD
from equipoise.core.routing import CacheOptions
from equipoise.gateway.given import Kept
from equipoise.gateway.headers import Fields

if TYPE_CHECKING:
    from equipoise.semantic.nearness import Asked

HIT, STALE, JOINED, SEMANTIC, MISS, BYPASS = "hit", "stale", "joined", "semantic", "miss", "bypass"


class CacheLimits(msgspec.Struct, frozen=True):
    """Bytes of all kept answers, and of the longest one."""

    most_bytes: int = 256 * 1024 * 1024
    most_answer_bytes: int = 1024 * 1024


class Lookup(msgspec.Struct, kw_only=True):
    """What the cache does for one question: `result` as above or empty where the route has none, `age` in seconds,
    `saved` what asking would have cost, `likeness` how near an answered question in other words is. Without a `key` the
    question is asked as if there were no cache. `purges` is how many the fleet had seen when it was looked up."""

    result: str = ""
    key: bytes | None = None
    options: CacheOptions | None = None
    kept: Kept | None = None
    age: float | None = None
    fresh: bool = False
    saved: NanoUSD = 0
    asked: Asked | None = None
    likeness: float | None = None
    purges: int | None = None

    def fields(self) -> Fields:
        """What the client is told."""
        told: Fields = [(b"x-equipoise-cache", self.result.encode())] if self.result else []
        if self.likeness is not None:
            told.append((b"x-equipoise-cache-similarity", b"%.3f" % self.likeness))
        return told if self.age is None else [*told, (b"age", b"%d" % self.age)]


class _Nothing(Lookup, frozen=True):  # type: ignore[misc]  # which dataclasses may not, and structs may
    """Shared by the questions of all tenants, so nothing can be written into it."""


NOTHING: Lookup = _Nothing()
"""What it does where no answers are kept."""
