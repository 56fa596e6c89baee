from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.redis.servers import RedisServer, redis_server
from tests.wire.workers.conftest import Gateway, Start, start

__all__ = ["start"]


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


@pytest.fixture
def pair(start: Start, own_redis: RedisServer, tmp_path: Path) -> Callable[..., tuple[Gateway, Gateway]]:
    """Two gateways of two workers each, with a state directory each, that share nothing but a Redis."""

    def begun(text: str, more: str = "") -> tuple[Gateway, Gateway]:
        text += f"shared: {{redis: {{url: '{own_redis.url}'{more}}}}}\n"
        found = [start(text, "--state-dir", str(tmp_path / name)) for name in ("one", "other")]
        for gateway in found:
            gateway.begin()
        return found[0], found[1]

    return begun
