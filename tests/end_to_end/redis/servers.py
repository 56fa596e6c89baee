"""A Redis of Debian's, for tests."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.fleet import server
from bench.fleet.server import RedisServer
from tests.end_to_end.http.servers import command

__all__ = ["RedisServer", "redis_server"]


def redis_server(folder: Path) -> AbstractContextManager[RedisServer]:
    """One that runs as long as the block; a skipped test where it is not installed."""
    return server.redis_server(folder, command("redis-server"))
