"""Headroom in a Redis or Valkey, shared by the gateways of several hosts: one script, so that each turn is one breath there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from redis.exceptions import NoScriptError

from equipoise.core.slices import Ask, Grant
from equipoise.stores.redis_link import RedisLink

MOST = 2**52
"""The largest limit that can be kept there: its scripts count in floating point, exact to 2^53 (4.5 million dollars here)."""


class RedisLeases:
    """A LeaseStore over hosts. Who is alive goes by Redis' clock (`skew`), so hosts need not agree on the time.

    A gateway that does not get to Redis may go on spending what it holds for `keep_seconds` beyond its lease: so long a
    slice of one that is silent counts in the window that it may have been spent in. `root` keeps apart what is kept. While Redis is unwell all methods
    raise StoreGone at once.
    """

    def __init__(
        self,
        link: RedisLink,
        keep_seconds: float = 0.0,
        skew: Callable[[], float] | None = None,
        root: str = "budgets",
    ) -> None:
        self._link, self._keep = link, keep_seconds
        self._skew = skew or (lambda: link.skew)
        self._root = link.key(root)

    def renew(
        self, holder: str, turn: int, asks: Sequence[Ask], now: float, seconds: float, *, beat: bool = True
    ) -> list[Grant]:
        """As LeaseStore has it. One round trip, and some 10 microseconds of Redis' time an account."""
        writes, there = beat or any(ask.changes for ask in asks), now + self._skew()
        rows = self._run("renew", holder, turn, there, there + seconds, int(writes), self._sent(asks))
        return [_grant(ask, row) for ask, row in zip(asks, rows, strict=True)]

    def leave(self, holder: str, turn: int, asks: Sequence[Ask], now: float) -> None:
        """As LeaseStore has it."""
        self._run("leave", holder, turn, now + self._skew(), self._sent(asks))

    def holdings(self, holder: str) -> tuple[float, list[str]]:
        """As LeaseStore has it."""
        root = self._root

        def found(client: Any) -> tuple[float | None, set[bytes]]:
            both: tuple[float | None, set[bytes]] = (
                client.pipeline(transaction=True).zscore(f"{root}:alive", holder).smembers(f"{root}:holds:{holder}")
            ).execute()
            return both

        until, accounts = self._link.call(found)
        return (0.0 if until is None else until - self._skew()), sorted(each.decode() for each in accounts)

    def give_back(self, holder: str, free: Mapping[str, int], now: float) -> int:
        """As LeaseStore has it."""
        return int(self._run("give_back", holder, msgspec.json.encode(free), now + self._skew()))

    def periods(self, account: str, first: int, before: int) -> list[tuple[int, int, int]]:
        """As LeaseStore has it."""
        names = f"{self._root}:spent:{account}", f"{self._root}:count:{account}"

        def found(client: Any) -> list[dict[bytes, bytes]]:
            both: list[dict[bytes, bytes]] = (
                client.pipeline(transaction=True).hgetall(names[0]).hgetall(names[1]).execute()
            )
            return both

        spent, counts = self._link.call(found)
        rows = ((int(period), int(amount), int(counts.get(period, 0))) for period, amount in spent.items())
        return sorted(row for row in rows if first <= row[0] < before)

    def first_to_tell(self, account: str, share: float, until: float, now: float) -> bool:
        """As LeaseStore has it."""
        return bool(self._run("first_to_tell", account, share, min(until, 1e18), now))

    def set_limit(self, budget: str, amount: int | None, instead_of: int, now: float) -> None:
        """As LeaseStore has it."""
        self._run("set_limit", budget, "" if amount is None else amount, instead_of, now)

    def reset(self, budget: str, now: float, *, lost_only: bool = False) -> int:
        """As LeaseStore has it."""
        return int(self._run("reset", budget, now + self._skew(), int(lost_only)))

    def close(self) -> None:
        """The link is closed by whoever opened it."""

    def _sent(self, asks: Sequence[Ask]) -> bytes:
        """A slice that was lost counts by Redis' clock, and for as long as its holder may still have spent of it."""
        earlier = self._skew() - self._keep
        return msgspec.json.encode([msgspec.structs.replace(ask, began=ask.began + earlier) for ask in asks])

    def _run(self, *arguments: str | bytes | float) -> Any:
        """The script by its digest; sent whole to a server that does not know it yet."""
        source, digest = script()

        def run(client: Any) -> Any:
            try:
                return client.evalsha(digest, 1, self._root, *arguments)
            except NoScriptError:
                return client.eval(source, 1, self._root, *arguments)

        return self._link.call(run)


def _grant(ask: Ask, row: Sequence[bytes]) -> Grant:
    held, spent, count, others, unknown, limit = map(int, row[:6])
    return Grant(
        account=ask.account,
        held=held,
        spent=spent,
        count=count,
        others=others,
        unknown=unknown,
        limit=limit,
        oldest=int(row[6]) if row[6] else None,
    )


@cache
def script() -> tuple[str, str]:
    """The script and its digest, by which servers know it."""
    source = resources.files("equipoise.stores").joinpath("leases.lua").read_text(encoding="utf-8")
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
