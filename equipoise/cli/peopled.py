"""Who may look at a gateway and steer it, and the journal of what they did: put together for serving."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from equipoise.build import Estate
from equipoise.build.keys import callers_of, operators_of
from equipoise.build.store import audit_in, state_in
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.serve import is_loopback
from equipoise.config import Config
from equipoise.config.errors import dotted
from equipoise.config.save import leaves, plain
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.keyring import Keyring
from equipoise.gateway.known_keys import KnownKeys
from equipoise.gateway.pages import Pages
from equipoise.stores.audit import AuditStore
from equipoise.stores.keys import CLIENTS, OPERATORS
from equipoise.stores.sqlite import StoreError

if TYPE_CHECKING:
    from equipoise.gateway.tokens import Tokens

logger = logging.getLogger("equipoise.audit")


def admin_keyring_of(config: Config, tokens: Tokens | None) -> Keyring:
    """The admin keys of the configuration and of the state store, watched, and tokens that name a role beside them.

    Raises Failure where they cannot be read.
    """
    beside = tokens.person if tokens and config.jwt and config.jwt.role_claim else None
    try:
        return Keyring(
            state_in(config), operators_of(config), logger.error, OPERATORS, beside, known_of(config, OPERATORS)
        )
    except StoreError as error:
        raise Failure(f"the admin keys in the state store cannot be read: {error}", USAGE) from error


def keyring_of(config: Config, tokens: Tokens | None) -> Keyring:
    """The keys of clients, watched, and tokens that name a tenant beside them. Raises Failure where they cannot be read."""
    beside = tokens.client if tokens and config.jwt and config.jwt.tenant_claim else None
    trouble = logging.getLogger("equipoise.keys").error
    try:
        return Keyring(state_in(config), callers_of(config), trouble, CLIENTS, beside, known_of(config, CLIENTS))
    except StoreError as error:
        raise Failure(f"the keys in the state store cannot be read: {error}", USAGE) from error


def known_of(config: Config, state: str) -> KnownKeys | None:
    """Where keys of a server are remembered; those in a file of this machine need no such thing."""
    return None if config.shared.postgres is None else KnownKeys(config.state_path / f"known-{state}.json")


def tokens_of(config: Config) -> Tokens | None:
    """The identity provider whose tokens are believed; None where there is none. Raises Failure without the extra."""
    if config.jwt is None:
        return None
    try:
        from equipoise.gateway.tokens import TokenOptions, Tokens
    except ImportError as error:
        raise Failure("jwt: needs the extra", USAGE, "pip install equipoise[jwt]") from error
    of = config.jwt
    options = TokenOptions(
        issuer=of.issuer,
        audience=of.audience,
        jwks_url=of.jwks_url,
        algorithms=of.algorithms,
        leeway=of.leeway_seconds,
        refresh=of.refresh_seconds,
        max_keys=of.max_keys,
        tenant_claim=of.tenant_claim,
        key_claim=of.key_claim,
        role_claim=of.role_claim,
        roles=of.roles,
    )
    return Tokens(options, logging.getLogger("equipoise.tokens").error)


def pages_of(config: Config) -> Pages:
    """Which web pages may ask."""
    return Pages(config.cors.origins, config.cors.max_age_seconds, here=is_loopback(config.listen.host))


def journal_of(config: Config) -> AuditStore:
    """The audit journal of a state directory; its file is made when there is first something to write."""
    return AuditStore(audit_in(config), keep_days=config.audit.keep_days, max_entries=config.audit.max_entries)


def auditor_of(config: Config, estate: Estate, now: Callable[[], Config]) -> Auditor:
    """Watches the configuration that `now` gives, and what is steered beside it."""

    def snapshot() -> dict[str, Any]:
        said = {dotted(path): value for path, value in leaves(plain(now(), everything=True))}
        rows = estate.balancer.status()["backends"]
        steered = {f"{row['id']} is drained": row["draining"] for row in rows}
        limits = estate.balancer.selection.budgets.status(estate.balancer.selection.clock.wall())
        breakers = {f"breaker of {row['id']}": row["breaker"]["state"] for row in rows}
        return said | steered | breakers | {f"budget {row['name']} limit": row["limit"] for row in limits}

    return Auditor(journal_of(config), snapshot, logger.error)
