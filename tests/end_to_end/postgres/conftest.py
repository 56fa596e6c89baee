"""A server of the tests' own, which each of them may do anything to."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.end_to_end.postgres.server import PostgresServer


@pytest.fixture(scope="session")
def one_server() -> Iterator[PostgresServer]:
    made = PostgresServer()
    yield made
    made.remove()


@pytest.fixture
def server(one_server: PostgresServer) -> PostgresServer:
    """It runs, whatever the test before has done to it."""
    one_server.start()
    return one_server


@pytest.fixture
def url(server: PostgresServer) -> str:
    """An empty database in it."""
    return server.database(f"test-{secrets.token_hex(6)}")
