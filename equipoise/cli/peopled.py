"""Who may look at a gateway and steer it, and the journal of what they did: put together for serving."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from equipoise.build import Estate
from equipoise.build.keys import operators_of
from equipoise.cli.exits import USAGE, Failure
from equipoise.config import Config
from equipoise.config.errors import dotted
from equipoise.config.save import leaves, plain
from equipoise.gateway.auditing import Auditor
from equipoise.gateway.keyring import Keyring
from equipoise.stores.audit import AuditStore
from equipoise.stores.keys import OPERATORS
from equipoise.stores.sqlite import StoreError

logger = logging.getLogger("equipoise.audit")


def admin_keyring_of(config: Config) -> Keyring:
    """The admin keys of the configuration and of the state store, watched. Raises Failure where they cannot be read."""
    try:
        return Keyring(config.state_file, operators_of(config), logger.error, state=OPERATORS)
    except StoreError as error:
        raise Failure(f"the admin keys in the state store cannot be read: {error}", USAGE) from error


def journal_of(config: Config) -> AuditStore:
    """The audit journal of a state directory; its file is made when there is first something to write."""
    return AuditStore(config.audit_path, keep_days=config.audit.keep_days, max_entries=config.audit.max_entries)


def auditor_of(config: Config, estate: Estate, now: Callable[[], Config]) -> Auditor:
    """Watches the configuration that `now` gives, and what is steered beside it."""

    def snapshot() -> dict[str, Any]:
        said = {dotted(path): value for path, value in leaves(plain(now(), everything=True))}
        rows = estate.balancer.status()["backends"]
        steered = {f"{row['id']} is drained": row["draining"] for row in rows}
        limits = estate.balancer.selection.budgets.status(estate.balancer.selection.clock.wall())
        return said | steered | {f"budget {row['name']} limit": row["limit"] for row in limits}

    return Auditor(journal_of(config), snapshot, logger.error)
