from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.redis.servers import RedisServer, redis_server


@pytest.fixture(scope="session")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all that only keep something there."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that may be stopped and frozen."""
    with redis_server(tmp_path) as server:
        yield server
