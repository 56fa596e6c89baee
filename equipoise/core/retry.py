"""When to ask again: a budget for all requests together, and a pause between attempts."""

from __future__ import annotations

import msgspec

from equipoise.core.model import Chance


class RetryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`max_attempts` counts only attempts that may have reached an upstream; `share` of requests may be repeated."""

    max_attempts: int = 4
    share: float = 0.2
    floor_per_second: float = 1.0
    burst: float = 10.0
    backoff_base: float = 0.1
    backoff_cap: float = 5.0


class RetryBudget:
    """A token bucket (Finagle's RetryBudget): requests deposit a share of a token, time a floor, a retry takes one.

    It bounds amplification: in a brown-out of everything at most 1 + `share` attempts are sent per request, beyond a
    constant.
    """

    def __init__(self, options: RetryOptions, now: float) -> None:
        self.options = options
        self._tokens = options.burst
        self._at = now

    def deposit(self) -> None:
        """A new request came in."""
        self._tokens = min(self.options.burst, self._tokens + self.options.share)

    def withdraw(self, now: float) -> bool:
        """May one more attempt be sent? Takes the token if so."""
        self._tokens = min(self.options.burst, self._tokens + (now - self._at) * self.options.floor_per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


def backoff(options: RetryOptions, attempt: int, chance: Chance, floor: float | None = None) -> float:
    """Full jitter: U(0, min(cap, base * 2^attempt)) seconds, never below the upstream's own Retry-After."""
    ceiling = min(options.backoff_cap, options.backoff_base * 2.0 ** min(attempt, 16))
    return max(chance.uniform(0.0, ceiling), floor or 0.0)
