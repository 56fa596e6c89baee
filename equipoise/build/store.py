"""Where a configuration keeps what outlives the process: files of the state directory, or a server that gateways share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from equipoise.config import Config
from equipoise.stores import audit, state
from equipoise.stores.database import Database, Schema, StoreError
from equipoise.stores.sqlite import SqliteFile, ledger_schema

if TYPE_CHECKING:
    from equipoise.stores.postgres import PostgresDatabase
    from equipoise.stores.postgres_server import PostgresServer

LEISURE_SECONDS = 600.0
"""How long a person at a terminal waits for a report."""
_open: WeakValueDictionary[tuple[str, str, str, float], PostgresDatabase] = WeakValueDictionary()
_servers: WeakValueDictionary[str, PostgresServer] = WeakValueDictionary()
"""One object for all who ask: they share connections for reading, and what one waited for in vain."""


def ledger_in(config: Config, *, at_leisure: bool = False) -> Database | None:
    """The ledger's tables, or None when nothing is to be recorded."""
    path = config.ledger_path
    if path is None:
        return None
    return _shared(config, ledger_schema(), at_leisure) or SqliteFile(path, ledger_schema())


def state_in(config: Config) -> Database:
    """Keys, the state and journal of migrations and canaries, what was learned."""
    return _shared(config, state.SCHEMA) or SqliteFile(config.state_file, state.SCHEMA)


def audit_in(config: Config) -> Database:
    """The journal of what people did."""
    return _shared(config, audit.SCHEMA) or SqliteFile(config.audit_path, audit.SCHEMA)


def _shared(config: Config, schema: Schema, at_leisure: bool = False) -> Database | None:
    """The server's tables, one object for all who ask. Raises StoreError without the extra, and for what is no address."""
    if (of := config.shared.postgres) is None:
        return None
    url, folder = of.url.reveal(), config.state_path
    key = (url, str(folder), schema.name, LEISURE_SECONDS if at_leisure else 0.0)
    found = _open.get(key)
    if found is None:
        try:
            found = _open[key] = _made(url, schema, folder, key[-1], of.journal_bytes)
        except ImportError as error:
            raise StoreError("shared.postgres needs the extra: pip install 'equipoise[postgres]'") from error
        except ValueError as error:
            raise StoreError(f"shared.postgres.url: {error}") from error
    return found


def _made(url: str, schema: Schema, folder: Path, leisure: float, journal_bytes: int) -> PostgresDatabase:
    from equipoise.stores.postgres import PostgresDatabase
    from equipoise.stores.postgres_ledger import PostgresLedger
    from equipoise.stores.postgres_server import ANSWER_SECONDS, PostgresServer

    server, patience = _servers.get(url) or PostgresServer(url), leisure or ANSWER_SECONDS
    _servers[url] = server
    if schema.name == ledger_schema().name:
        return PostgresLedger(server, schema, folder, patience, most_bytes=journal_bytes)
    return PostgresDatabase(server, schema, folder, patience)
