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
HEALTHY, STAYS_HEALTHY = 0.92, 0.88
UNHEALTHY, STAYS_UNHEALTHY = 0.5, 0.6


class HealthStatus(enum.StrEnum):
    """The specification's four; an unknown backend may be chosen, so a new one never waits for a probe."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


_HEALTHY = HealthStatus.HEALTHY


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

    `bound` is its `value` unless probes failed of late or it has just come back (since `since`): read in every decision.
    `down` says that the probes found nobody there. `checks` counts the probes that were due, `checks_failed` those among
    them that came to no answer.
    """

    def __init__(self, reliability: float, *, probe_threshold: int = 3, started: float = 0.0) -> None:
        self.success = Average(reliability)
        self.attempts = 0
        self.probe_failures = 0
        self.probed_at: float | None = None
        self.probe_details: Mapping[str, Any] = {}
        self.probe_error: str | None = None
        self.down = False
        self.checks = self.checks_failed = 0
        self.status = HealthStatus.UNKNOWN
        self._threshold = probe_threshold
        self.since = started - SLOW_START_SECONDS
        self.bound = max(LOWEST_HEALTH, reliability)

    def attempted(self, *, success: bool) -> None:
        """Learn from a real attempt; an answer also disproves a probe that says the backend is down."""
        self.attempts += 1
        seen = self.success
        was, samples = seen.value, seen.samples
        seen.add(1.0 if success else 0.0, EVIDENCE)
        # With nothing moved, as in one that has long answered everything, the bound is what it was.
        if seen.value != was or seen.samples != samples:
            bound = wilson_lower(seen.value, seen.samples)
            self.bound = bound if bound > LOWEST_HEALTH else LOWEST_HEALTH
        if success:
            self.down, self.probe_failures = False, 0
        if not success or self.status is not _HEALTHY:
            self._judge()

    def probed(
        self,
        *,
        healthy: bool,
        error: str | None,
        details: Mapping[str, Any],
        now: float,
        wall: float,
        completed: bool = True,
    ) -> None:
        """Take in a probe: so many failures in a row say down, one success says up again (with a slow start)."""
        self.checks += 1
        self.checks_failed += not completed
        self._take(healthy=healthy, error=error, details=details, now=now, wall=wall)
        self._judge()

    def _take(self, *, healthy: bool, error: str | None, details: Mapping[str, Any], now: float, wall: float) -> None:
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
        self._judge()

    def recovered(self, now: float) -> None:
        """Begin a slow start: the backend came back and is not to be flooded."""
        self.since = now

    def value(self, now: float) -> float:
        """Health in [0.1, 1]: the lower bound of the success share, less for probes that fail, ramped up after a recovery.

        Each failed probe in a row takes its part of a half. The ramp is Envoy's slow start with aggression 1: from 0.1 to
        1 within the window.
        """
        bound, since = self.bound, now - self.since
        if self.probe_failures:
            bound = max(LOWEST_HEALTH, bound * self._probed_well)
        if since >= SLOW_START_SECONDS:
            return bound
        return max(LOWEST_HEALTH, bound * since / SLOW_START_SECONDS)

    @property
    def _probed_well(self) -> float:
        return 1.0 - 0.5 * min(1.0, self.probe_failures / self._threshold)

    def _judge(self) -> None:
        """Healthy from 92 % on, unhealthy below half or when probes say so; what was said holds a little beyond its bound."""
        if self.down:
            self.status = HealthStatus.UNHEALTHY
        elif not self.attempts:
            self.status = HealthStatus.UNKNOWN if self.probed_at is None else HealthStatus.HEALTHY
        else:
            self.status = self._of(self.success.value * self._probed_well)

    def _of(self, score: float) -> HealthStatus:
        was = self.status
        if score < (STAYS_UNHEALTHY if was is HealthStatus.UNHEALTHY else UNHEALTHY):
            return HealthStatus.UNHEALTHY
        stays = was in (HealthStatus.HEALTHY, HealthStatus.UNKNOWN)
        return HealthStatus.HEALTHY if score >= (STAYS_HEALTHY if stays else HEALTHY) else HealthStatus.DEGRADED
