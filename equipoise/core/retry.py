"""When to ask again: a budget for all requests together, and a pause between attempts."""

from __future__ import annotations

import msgspec

from equipoise.core.model import Chance

MEMORY_SECONDS = 10.0
"""For so long deposits beyond the floor make up for seconds without any."""


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`max_attempts` counts only attempts that may have reached an upstream; `share` of requests may be repeated."""

    max_attempts: int = 4
    share: float = 0.2
    floor_per_second: float = 1.0
    burst: float = 10.0
    backoff_base: float = 0.1
    backoff_cap: float = 5.0


class RetryBudget:
    """A token bucket (Finagle's RetryBudget): requests deposit a share of a token, a retry takes one.

    Time makes up what the deposits lack of the floor and no more, so that in a brown-out of everything at most 1 + `share`
    attempts are sent per request, beyond the burst, from floor / share requests a second on.
    """

    def __init__(self, options: RetryOptions, now: float) -> None:
        self.options = options
        self._tokens = options.burst
        self._at, self._deposited = now, 0.0

    def deposit(self) -> None:
        """A new request came in."""
        self._deposited += self.options.share
        self._tokens = min(self.options.burst, self._tokens + self.options.share)

    def withdraw(self, now: float) -> bool:
        """May one more attempt be sent? Takes the token if so."""
        floor = (now - self._at) * self.options.floor_per_second
        self._tokens = min(self.options.burst, self._tokens + max(0.0, floor - self._deposited))
        self._deposited = min(max(0.0, self._deposited - floor), MEMORY_SECONDS * self.options.floor_per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def backoff(options: RetryOptions, attempt: int, chance: Chance, floor: float | None = None) -> float:
    """Full jitter: U(0, min(cap, base * 2^attempt)) seconds, never below the upstream's own Retry-After."""
    ceiling = min(options.backoff_cap, options.backoff_base * 2.0 ** min(attempt, 16))
    return max(chance.uniform(0.0, ceiling), floor or 0.0)
