"""What the processes of a fleet have learned, in Redis: each writes its own sums, and reads of the others what has changed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from equipoise.stores.database import StoreError
from equipoise.stores.redis_link import RedisLink

KEEP_SECONDS = 30 * 86_400.0
"""What a process learned that has not been heard of for so long is forgotten: questions and models have changed since."""
MOST_BYTES = 64 * 1024 * 1024


class FleetLearned:
    """One process's side. `host` tells its names from those of other hosts and is the same after a restart."""

    def __init__(self, link: RedisLink, host: str, wall: Callable[[], float] = time.time) -> None:
        self._link, self._host, self._wall = link, host, wall
        self._states, self._stamps = link.key("learned"), link.key("learned", "at")
        self._known: dict[str, tuple[bytes, dict[str, Any]]] = {}

    def exchange(self, own: str, states: Mapping[str, Any], beside: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write ours, give what all others learned. Blocks; never raises for a Redis that is gone: then it is what was
        known last, or else what those `beside` us on this host learned."""
        try:
            self._exchange(f"{self._host}/{own}", states)
        except StoreError:
            return [state for _, state in self._known.values()] or beside
        return [state for _, state in self._known.values()]

    def _exchange(self, own: str, states: Mapping[str, Any]) -> None:
        there = self._wall() + self._link.skew
        packed = zlib.compress(msgspec.json.encode(states))
        stamp = b"%.6f" % there

        def written(client: Any) -> dict[bytes, bytes]:
            pipe = client.pipeline(transaction=True)
            found: dict[bytes, bytes] = (
                pipe.hset(self._states, own, packed).hset(self._stamps, own, stamp).hgetall(self._stamps).execute()[-1]
            )
            return found

        stamps = {name.decode(): at for name, at in self._link.call(written).items() if name.decode() != own}
        gone = [name for name, at in stamps.items() if float(at) < there - KEEP_SECONDS]
        if gone:
            self._link.call(lambda client: (client.hdel(self._states, *gone), client.hdel(self._stamps, *gone)))
        for name in self._known.keys() - (stamps.keys() - set(gone)):
            del self._known[name]
        for name in stamps.keys() - set(gone):
            if name not in self._known or self._known[name][0] != stamps[name]:
                self._read(name, stamps[name])

    def _read(self, name: str, stamp: bytes) -> None:
        raw: Any = self._link.call(lambda client: client.hget(self._states, name))
        if raw is not None and (state := _unpacked(raw)) is not None:
            self._known[name] = stamp, state


def _unpacked(raw: bytes) -> dict[str, Any] | None:
    """None for what is not ours, or of another version."""
    try:
        return msgspec.json.decode(zlib.decompressobj().decompress(raw, MOST_BYTES), type=dict[str, Any])
    except (zlib.error, msgspec.DecodeError):
        return None
