"""Where `equipoise keys` finds and keeps keys, and the journal that says who changed them."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from equipoise.cli.exits import USAGE, Failure

if TYPE_CHECKING:
    from equipoise.config import Config
    from equipoise.stores.keys import KeyStore, StoredKey


@contextmanager
def opened(config: Config, *, operators: bool = False) -> Iterator[KeyStore]:
    """The store of clients' keys, or of operators'. Raises Failure."""
    from equipoise.build.store import state_in
    from equipoise.stores.keys import CLIENTS, OPERATORS, KeyStore
    from equipoise.stores.sqlite import StoreError
    from equipoise.stores.state import StateStore

    try:
        store = StateStore(state_in(config))
        try:
            yield KeyStore(store, state=OPERATORS if operators else CLIENTS)
        finally:
            store.close()
    except StoreError as error:
        raise Failure(str(error), USAGE) from error


def stored(config: Config, *, operators: bool = False) -> list[StoredKey]:
    """Every key of a kind that the state store ever held. Raises Failure where it cannot be read."""
    from equipoise.build.store import state_in

    if not state_in(config).exists():
        return []
    with opened(config, operators=operators) as store:
        return store.all()


def is_operators(name: str, config: Config) -> bool:
    """Is there a key of this name for the admin listener?"""
    return any(key.name == name for key in stored(config, operators=True))


def require(store: KeyStore, name: str, config: Config) -> None:
    """Raise Failure where there is no such key, or it was revoked."""
    key = next((key for key in store.all() if key.name == name), None)
    if key is None or key.revoked is not None:
        configured = name in config.keys or name in config.admin_keys
        hint = "it is in the configuration: change it there" if configured else "`equipoise keys ls --all`"
        raise Failure(f"there is no key {name}" if key is None else f"the key {name} was revoked already", USAGE, hint)


def who() -> str:
    """Who is at this terminal, for the journal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def noted(config: Config, action: str, name: str, *, noun: str = "keys", **said: Any) -> None:
    """Write down in the audit journal what was done with a key, or to another `noun`. Raises Failure."""
    from equipoise.build.store import audit_in
    from equipoise.stores.audit import AuditEntry, AuditStore
    from equipoise.stores.sqlite import StoreError

    journal = AuditStore(audit_in(config), keep_days=config.audit.keep_days, max_entries=config.audit.max_entries)
    entry = AuditEntry(
        who=who(),
        action=f"{noun} {action}",
        target=name,
        outcome="done",
        address="this machine",
        said={field: value for field, value in said.items() if value not in (None, ())},
    )
    try:
        journal.append(entry)
    except StoreError as error:
        raise Failure(f"{action} of {name} is done, and could not be written down: {error}", USAGE) from error
    finally:
        journal.close()
