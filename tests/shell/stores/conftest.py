"""The engines that stores stand on: the same promises hold for each."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from equipoise.stores import audit, state
from equipoise.stores.database import Database, Schema
from equipoise.stores.sqlite import SqliteFile, ledger_schema

if TYPE_CHECKING:
    from tests.end_to_end.postgres.server import PostgresServer


class Engine:
    """Where a test's stores keep their tables: files in a folder."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def database(self, schema: Schema) -> Database:
        """The same tables for everybody who asks again, as another process would."""
        return SqliteFile(self.folder / f"{schema.name}.sqlite3", schema)

    @property
    def ledger(self) -> Database:
        return self.database(ledger_schema())

    @property
    def state(self) -> Database:
        return self.database(state.SCHEMA)

    @property
    def audit(self) -> Database:
        return self.database(audit.SCHEMA)


class PostgresEngine(Engine):
    """A database of a real server."""

    name = "postgres"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url

    def database(self, schema: Schema) -> Database:
        """The ledger's with a journal of its own."""
        from equipoise.stores.postgres import PostgresDatabase
        from equipoise.stores.postgres_ledger import PostgresLedger
        from equipoise.stores.postgres_server import PostgresServer

        made = PostgresLedger if schema.name == "ledger" else PostgresDatabase
        return made(PostgresServer(self.url), schema, self.folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that need one."""
    from tests.end_to_end.postgres.server import PostgresServer

    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.end_to_end)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Each engine in turn, with nothing in it."""
    if request.param == "sqlite":
        return Engine(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return PostgresEngine(tmp_path, server.database(f"test-{secrets.token_hex(6)}"))
