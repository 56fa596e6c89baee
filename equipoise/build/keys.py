"""The keys of a configuration, as digests with their terms."""

from __future__ import annotations

import hashlib

from equipoise.config import Config, KeyConfig
from equipoise.config.keys import digest_of
from equipoise.core.callers import Caller, Role

THE_ADMIN = "admin"
"""What the one key of `listen.admin_key` is called."""


def callers_of(config: Config) -> dict[str, Caller]:
    """The hexadecimal SHA-256 of each key to what it may do."""
    return {digest_of(key): _caller(name, key) for name, key in config.keys.items()}


def operators_of(config: Config) -> dict[str, Caller]:
    """The hexadecimal SHA-256 of each admin key to its name and role."""
    found = {
        digest_of(key): Caller(key=name, role=key.role, expires=key.expires_at)
        for name, key in config.admin_keys.items()
    }
    if config.listen.admin_key is not None:
        whole = hashlib.sha256(config.listen.admin_key.reveal().encode()).hexdigest()
        found[whole] = Caller(key=THE_ADMIN, role=Role.ADMIN)
    return found


def _caller(name: str, of: KeyConfig) -> Caller:
    return Caller(
        key=name,
        tenant=of.tenant,
        routes=None if of.routes is None else frozenset(of.routes),
        strategies=None if of.strategies is None else frozenset(str(strategy) for strategy in of.strategies),
        budgets=of.budgets,
        requests_per_minute=of.requests_per_minute,
        tokens_per_minute=of.tokens_per_minute,
        expires=of.expires_at,
        data_classes=frozenset(of.data_class),
    )
