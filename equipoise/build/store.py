"""Where a configuration keeps what outlives the process: files of the state directory."""

from __future__ import annotations

from equipoise.config import Config
from equipoise.stores import audit, state
from equipoise.stores.database import Database
from equipoise.stores.sqlite import SqliteFile, ledger_schema


def ledger_in(config: Config) -> Database | None:
    """The ledger's tables, or None when nothing is to be recorded."""
    path = config.ledger_path
    return None if path is None else SqliteFile(path, ledger_schema())


def state_in(config: Config) -> Database:
    """Keys, the state and journal of migrations and canaries, what was learned."""
    return SqliteFile(config.state_file, state.SCHEMA)


def audit_in(config: Config) -> Database:
    """The journal of what people did."""
    return SqliteFile(config.audit_path, audit.SCHEMA)
