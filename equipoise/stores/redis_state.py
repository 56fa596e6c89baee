"""Named state in Redis that all gateways of a fleet go by, and a journal of who changed it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from equipoise.stores.redis_link import RedisLink
from equipoise.stores.state import Entry, StateConflict

MOST_LINES = 10_000
WRITE = """
local row = redis.call('HGET', KEYS[1], ARGV[1])
local version = row and tonumber(row:match('^%d+')) or 0
if version ~= tonumber(ARGV[2]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', version + 1) .. ARGV[3])
if ARGV[4] ~= '' then
  redis.call('LPUSH', KEYS[2], ARGV[4])
  redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[5]) - 1)
end
return version + 1
"""


class RedisState:
    """A SharedState over hosts. Raises StoreGone at once while Redis is unwell."""

    def __init__(self, link: RedisLink, wall: Callable[[], float] = time.time) -> None:
        self._link, self._wall, self._values = link, wall, link.key("state")

    def read(self, name: str) -> tuple[int, dict[str, Any] | None]:
        """As SharedState has it."""
        row: Any = self._link.call(lambda client: client.hget(self._values, name))
        return (0, None) if row is None else _value(row)

    def write(self, name: str, value: Mapping[str, Any], expected: int, entry: Entry | None) -> int:
        """As SharedState has it."""
        line = b"" if entry is None else self._line(entry)
        text, journal = msgspec.json.encode(value), self._journal(name)
        arguments = (2, self._values, journal, name, expected, text, line, MOST_LINES)
        version: Any = self._link.call(lambda client: client.eval(WRITE, *arguments))
        if version < 0:
            raise StateConflict(f"{name} was changed by somebody else at the same time")
        return int(version)

    def keep(self, name: str, value: Mapping[str, Any]) -> None:
        """As SharedState has it."""
        text = b"0 " + msgspec.json.encode(value)
        self._link.call(lambda client: client.hset(self._values, name, text))

    def kept(self, prefix: str) -> dict[str, dict[str, Any]]:
        """As SharedState has it."""
        rows: Any = self._link.call(lambda client: client.hgetall(self._values))
        found = {name.decode(): row for name, row in rows.items()}
        return {name[len(prefix) :]: _value(row)[1] for name, row in found.items() if name.startswith(prefix)}

    def forget(self, prefix: str, but: str) -> None:
        """As SharedState has it."""
        names: Any = self._link.call(lambda client: client.hkeys(self._values))
        kept = (prefix + but).encode()
        gone = [name for name in names if name.startswith(prefix.encode()) and not name.startswith(kept)]
        if gone:
            self._link.call(lambda client: client.hdel(self._values, *gone))

    def note(self, topic: str, entry: Entry) -> None:
        """As SharedState has it."""
        name, line = self._journal(topic), self._line(entry)
        self._link.call(lambda client: (client.lpush(name, line), client.ltrim(name, 0, MOST_LINES - 1)))

    def journal(self, topic: str, limit: int = 50) -> list[Entry]:
        """As SharedState has it."""
        name = self._journal(topic)

        def newest(client: Any) -> list[Any]:
            found: list[Any] = client.pipeline(transaction=True).lrange(name, 0, limit - 1).llen(name).execute()
            return found

        lines, length = self._link.call(newest)
        entries = (msgspec.json.decode(line, type=Entry) for line in lines)
        return [msgspec.structs.replace(entry, id=length - back) for back, entry in enumerate(entries)]

    def close(self) -> None:
        """The link is closed by whoever opened it."""

    def _journal(self, topic: str) -> str:
        return self._link.key("journal", topic)

    def _line(self, entry: Entry) -> bytes:
        return msgspec.json.encode(msgspec.structs.replace(entry, wall=entry.wall or self._wall()))


def _value(row: bytes) -> tuple[int, dict[str, Any]]:
    version, _, text = row.partition(b" ")
    value: dict[str, Any] = msgspec.json.decode(text)
    return int(version), value
