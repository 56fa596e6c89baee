"""Circuit breaker, Prometheus metrics and the records of decisions and backends, over Equipoise's own."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from equipoise.core.breaker import BreakerOptions, Cause, CircuitBreaker
from equipoise.core.model import Decision
from equipoise.core.policies import specified
from equipoise.telemetry.prometheus import Metrics
from equipoise.telemetry.routing_statistics import confidence_of

from ._values import BackendInstanceConfig, CircuitBreakerState, HealthStatus

CAUSES = {"timeout": Cause.TIMEOUT, "server_error": Cause.SERVER_ERROR}


class ProductionCircuitBreaker:
    """Decides whether one backend may be asked, by what its last requests came to.

    Opens at `failure_threshold` failures in a row (two fewer after two timeouts, one fewer after two server errors), when
    half of the last 100 requests within a minute or more than ten of the last twenty failed, and when half of them or the
    mean of the last ten took three times the expected time. Half-open, it admits `half_open_max_requests` and closes when
    these succeed. Each True of `should_allow_request` is to be followed by one
    `record_success` or `record_failure`. Right where the earlier one was wrong: one success ends a run of failures,
    and half-open slots are counted when they are given.
    """

    def __init__(self, config: BackendInstanceConfig) -> None:
        self.config = config
        self.failure_rate_window: deque[bool] = deque(maxlen=100)
        self.response_time_window: deque[float] = deque(maxlen=50)
        self._permits: deque[int] = deque(maxlen=10_000)
        options = BreakerOptions(
            enabled=config.circuit_breaker_enabled,
            failure_threshold=config.failure_threshold,
            recovery_seconds=config.recovery_timeout_seconds,
            half_open_probes=config.half_open_max_requests,
            slow_rate=0.5,
            slow_alone=True,
        )
        self._breaker = CircuitBreaker(options, random.Random())  # noqa: S311 - jitter

    @property
    def state(self) -> CircuitBreakerState:
        """Closed, open or half-open; open becomes half-open with the first request that is allowed again."""
        return self._breaker.state

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._breaker.counts["run"]

    def should_allow_request(self) -> bool:
        """May one request be sent now? True takes a place, which the result gives back."""
        permit = self._breaker.admit(time.monotonic())
        if permit is None:
            return False
        self._permits.append(permit)
        return True

    def record_success(self, response_time_ms: float) -> None:
        """A request was answered."""
        self.failure_rate_window.append(False)
        self.response_time_window.append(response_time_ms)
        pace = specified.pace(response_time_ms, self.config.expected_response_time_ms)
        self._breaker.succeeded(self._permit(), pace, time.monotonic())

    def record_failure(
        self, error: object, response_time_ms: float | None = None, error_type: str | None = None
    ) -> None:
        """A request failed through the backend's fault."""
        cause = CAUSES.get(error_type or _kind_of(error), Cause.OTHER)
        self.failure_rate_window.append(True)
        if response_time_ms is not None:
            self.response_time_window.append(response_time_ms)
        self._breaker.failed(self._permit(), time.monotonic(), str(error), cause)

    def get_metrics(self) -> dict[str, Any]:
        """State, counts and times."""
        counts = self._breaker.counts
        return {
            "state": self.state.value,
            "reason": self._breaker.reason,
            "failure_count": counts["run"],
            "trips": counts["trips"],
            "failure_rate": specified.mean(self.failure_rate_window),
            "avg_response_time_ms": specified.mean(self.response_time_window),
            "seconds_until_probe": self._breaker.seconds_until_probe(time.monotonic()),
        }

    def reset(self) -> None:
        """Close, with a clean record."""
        self._breaker.close(time.monotonic())
        for window in (self.failure_rate_window, self.response_time_window, self._permits):
            window.clear()

    def _permit(self) -> int:
        if self._permits:
            return self._permits.popleft()
        return self._breaker.generation if self.state is CircuitBreakerState.CLOSED else self._breaker.admit_anyway()


def _kind_of(error: object) -> str:
    return "timeout" if isinstance(error, TimeoutError | asyncio.TimeoutError) else type(error).__name__


def _family(name: str) -> property:
    return property(lambda metrics: next(family for family in metrics.collect() if family.name == name))


class PrometheusMetrics(Metrics):
    """The specified metrics, fed by the balancer itself: each name gives its family with the samples as of now."""

    request_count = _family("lb_requests")
    request_duration = _family("lb_request_duration_seconds")
    routing_decision_time = _family("lb_routing_decision_seconds")
    backend_health_score = _family("lb_backend_health_score")
    circuit_breaker_state = _family("lb_circuit_breaker_state")
    request_cost = _family("lb_request_cost")


@dataclass
class RoutingDecisionMetrics:
    """One decision and, once its question was sent, what came of it. Cost in dollars; what is unknown is None."""

    decision_id: str
    timestamp: float
    query_hash: str
    selected_backend: str
    decision_time_ms: float
    confidence_score: float
    available_backends: list[str]
    health_scores: dict[str, float]
    cost_factors: dict[str, float]
    quality_factors: dict[str, float]
    strategy: str = ""
    reason: str = ""
    request_successful: bool | None = None
    response_time_ms: float | None = None
    response_quality_score: float | None = None
    cost_actual: float | None = None

    @classmethod
    def of(cls, decision: Decision, query: str, seconds: float, decision_id: str) -> RoutingDecisionMetrics:
        """The record of a decision; its factors are the specification's own formulas, which report and do not decide."""
        reports = {candidate.backend_id: specified.report(candidate) for candidate in decision.candidates}
        return cls(
            decision_id=decision_id,
            timestamp=time.time(),
            query_hash=query_hash(query),
            selected_backend=decision.backend_id,
            decision_time_ms=specified.milliseconds(seconds),
            confidence_score=confidence_of(decision),
            available_backends=list(reports),
            health_scores={name: report["health_score"] for name, report in reports.items()},
            cost_factors={name: report["cost_efficiency"] for name, report in reports.items()},
            quality_factors={name: report["quality_score"] for name, report in reports.items()},
            strategy=decision.strategy,
            reason=decision.reason,
        )

    def ended(self, result: Mapping[str, Any]) -> None:
        """Take in what came of it: the result of `send_query`."""
        self.request_successful = result["success"]
        self.response_time_ms = result["response_time_ms"]
        self.response_quality_score = result.get("quality_score")
        self.cost_actual = result["cost_estimate"]


def query_hash(query: str) -> str:
    """Enough to recognise a question asked twice: 16 hexadecimal digits."""
    return hashlib.md5(query.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:16]


@dataclass
class BackendMetrics:
    """What was measured of one backend. Times in milliseconds, shares in [0, 1], availability in percent."""

    instance_id: str
    health_status: HealthStatus = HealthStatus.UNKNOWN
    response_time_ms: float = 0.0
    error_rate: float = 0.0
    availability_percentage: float = 100.0
    quality_score: float = 1.0
    cpu_usage_percent: float = 0.0
    cost_per_request: float | None = None
    timestamp: float = field(default_factory=time.time)

    def calculate_health_score(self) -> float:
        """The specified formula; 0 when unhealthy."""
        return specified.health_score(
            availability=specified.share(self.availability_percentage),
            response_time_ms=self.response_time_ms,
            error_rate=self.error_rate,
            quality=self.quality_score,
            cpu_percent=self.cpu_usage_percent,
            healthy=self.health_status is not HealthStatus.UNHEALTHY,
        )
