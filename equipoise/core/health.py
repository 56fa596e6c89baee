"""How well one backend is: what its answers showed, folded with what free probes found."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Any

from equipoise.core.load import Average

SLOW_START_SECONDS = 30.0
LOWEST_HEALTH = 0.1
EVIDENCE = 50.0


class HealthStatus(enum.StrEnum):
    """The specification's four; an unknown backend may be chosen, so a new one never waits for a probe."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


def wilson_lower(share: float, samples: float, z: float = 1.0) -> float:
    """The lower end of Wilson's interval for a share seen in so many samples (z = 1: one standard error)."""
    if samples <= 0:
        return share
    z2 = z * z / samples
    centre = share + z2 / 2
    spread = z * math.sqrt(share * (1 - share) / samples + z2 / (4 * samples))
    return (centre - spread) / (1 + z2)


class Health:
    """Success of real attempts and of probes; probes judge with hysteresis, so one lost probe is no illness.

    `down` says that the probes found nobody there.
    """

    def __init__(self, reliability: float, *, probe_threshold: int = 3, started: float = 0.0) -> None:
        self.success = Average(reliability)
        self.attempts = 0
        self.probe_failures = 0
        self.probed_at: float | None = None
        self.probe_details: Mapping[str, Any] = {}
        self.probe_error: str | None = None
        self.down = False
        self._threshold = probe_threshold
        self._since = started - SLOW_START_SECONDS
        self._bound = max(LOWEST_HEALTH, reliability)

    def attempted(self, *, success: bool) -> None:
        """Learn from a real attempt; an answer also disproves a probe that says the backend is down."""
        self.attempts += 1
        self.success.add(1.0 if success else 0.0, EVIDENCE)
        self._bound = max(LOWEST_HEALTH, wilson_lower(self.success.value, self.success.samples))
        if success:
            self.down, self.probe_failures = False, 0

    def probed(self, *, healthy: bool, error: str | None, details: Mapping[str, Any], now: float, wall: float) -> None:
        """Take in a probe: so many failures in a row say down, one success says up again (with a slow start)."""
        self.probed_at, self.probe_error, self.probe_details = wall, error, details
        if not healthy:
            self.probe_failures += 1
            self.down = self.down or self.probe_failures >= self._threshold
            return
        if self.down:
            self.recovered(now)
        self.down, self.probe_failures = False, 0

    def unwatched(self) -> None:
        """Nobody probes any more: what probes found last does not count for ever."""
        self.down, self.probe_failures = False, 0

    def recovered(self, now: float) -> None:
        """Begin a slow start: the backend came back and is not to be flooded."""
        self._since = now

    def value(self, now: float) -> float:
        """Health in [0.1, 1]: the lower bound of the success share, ramped up after a recovery.

        The ramp is Envoy's slow start with aggression 1: from 0.1 to 1 within the window.
        """
        since = now - self._since
        if since >= SLOW_START_SECONDS:
            return self._bound
        return max(LOWEST_HEALTH, self._bound * since / SLOW_START_SECONDS)

    @property
    def status(self) -> HealthStatus:
        """Healthy above 90 % success, unhealthy below half or when probes say so, unknown before any evidence."""
        if self.down or (self.attempts and self.success.value < 0.5):
            return HealthStatus.UNHEALTHY
        if not self.attempts and self.probed_at is None:
            return HealthStatus.UNKNOWN
        return HealthStatus.HEALTHY if self.success.value >= 0.9 or not self.attempts else HealthStatus.DEGRADED
