"""Keys by their digests: how one is known, and that no two are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from equipoise.config.errors import Path, Problem, dotted

if TYPE_CHECKING:
    from equipoise.config.people import AdminKeyConfig
    from equipoise.config.schema import Config
    from equipoise.config.sections import KeyConfig


def digest_of(key: KeyConfig | AdminKeyConfig) -> str:
    """The hexadecimal SHA-256 of a key, in small letters."""
    if key.sha256:
        return key.sha256.lower()
    return hashlib.sha256(key.key.reveal().encode() if key.key else b"").hexdigest()


def held_twice(config: Config) -> Iterator[Problem]:
    """Keys that stand in two places: whose terms counted, tenant and data class included, would be chance; and what a
    client shows with every question would open the admin listener."""
    places: dict[str, Path] = {}
    for place, digest in _all(config):
        first = places.setdefault(digest, place)
        if first != place:
            yield Problem(place, f"is the same key as {dotted(first)}", hint="give each a key of its own")


def _all(config: Config) -> Iterator[tuple[Path, str]]:
    for name, key in config.keys.items():
        yield ("keys", name), digest_of(key)
    for name, admin in config.admin_keys.items():
        yield ("admin_keys", name), digest_of(admin)
    if (own := config.listen.admin_key) is not None:
        yield ("listen", "admin_key"), hashlib.sha256(own.reveal().encode()).hexdigest()
