"""Recorded bodies with something absurd in the place of each value, and an upstream without sockets to send them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from equipoise.http import Headers

HUGE = "1e999999999"
ABSURD: tuple[str, ...] = (
    "null",
    "true",
    "-7",
    "9" * 40,
    "0.5",
    HUGE,
    "1e99999999999999999999",
    '""',
    '"text\\u001b[31m\\r\\n"',
    "[]",
    "{}",
    "[[1]]",
    '[{"index": [], "function": "f", "id": {}}]',
    '{"content": 5, "text": [], "name": {}, "arguments": {"a": 1}}',
    "[" * 900 + "]" * 900,
    "[" * 40_000 + "]" * 40_000,
)
_MARK = "the value stands here"


def spoilt(body: bytes) -> Iterator[bytes]:
    """The JSON document with each of its values replaced in turn by each absurd one."""
    whole = json.loads(body)
    for place in list(_places(whole)):
        marked = json.dumps(_with(whole, place, _MARK))
        for absurd in ABSURD:
            yield marked.replace(json.dumps(_MARK), absurd).encode()


def _places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if before:
        yield before
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in pairs:
        yield from _places(child, (*before, name))


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(value[place[0]], place[1:], new)
    return copy


class Told:
    """A response that is already here."""

    complete = False

    def __init__(self, status: int, kind: bytes, body: bytes) -> None:
        self.status, self._body = status, body
        self.headers: Headers = {b"content-type": kind}

    async def read(self, limit: int | None = None) -> bytes:
        return self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing is open."""


class Liar:
    """A pool whose upstream gives every request the same answer."""

    def __init__(self) -> None:
        self.status, self.kind, self.body = 200, b"application/json", b""

    async def request(self, method: str, target: str, **more: Any) -> Told:
        return Told(self.status, self.kind, self.body)

    async def close(self) -> None:
        """Nothing is open."""
