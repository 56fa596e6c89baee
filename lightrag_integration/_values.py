"""The specification's words and documented values."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from equipoise.core.breaker import BreakerState as CircuitBreakerState
from equipoise.core.health import HealthStatus
from equipoise.core.model import BackendType
from equipoise.core.model import Strategy as LoadBalancingStrategy

__all__ = [
    "COST_OPTIMIZATION_CONFIG", "PRODUCTION_LB_FEATURES", "QUALITY_CONFIG", "AlertSeverity", "AlertThresholds",
    "BackendInstanceConfig", "BackendType", "CircuitBreakerState", "HealthStatus", "LoadBalancingStrategy",
    "ProductionLoadBalancingConfig", "RoutingDecision",
]  # fmt: skip


class AlertSeverity(enum.StrEnum):
    """How bad an alert is."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RoutingDecision(enum.StrEnum):
    """What the earlier router says of a question. HYBRID is answered by one backend of either kind, like EITHER."""

    LIGHTRAG = "lightrag"
    PERPLEXITY = "perplexity"
    EITHER = "either"
    HYBRID = "hybrid"


@dataclass
class BackendInstanceConfig:
    """One backend, with the specified fields and defaults.

    `api_key` may be None: LightRAG may need none, and PERPLEXITY_API_KEY, LIGHTRAG_API_KEY or OPENAI_API_KEY stand in.
    `priority` is a tier (lower ones are asked first), which the earlier system never read. `extra` holds fields of
    Equipoise's own schema (`model`, `mode`, `price`, `corpus` ...).
    """

    id: str
    backend_type: BackendType
    endpoint_url: str
    api_key: str | None = field(default=None, repr=False)
    weight: float = 1.0
    cost_per_1k_tokens: float = 0.0
    max_requests_per_minute: int | None = 100
    timeout_seconds: float = 30.0
    health_check_path: str | None = "/health"
    priority: int = 1
    expected_response_time_ms: float = 1000.0
    quality_score: float = 1.0
    reliability_score: float = 1.0
    circuit_breaker_enabled: bool = True
    failure_threshold: int = 5
    recovery_timeout_seconds: float = 60
    half_open_max_requests: int = 3
    health_check_interval_seconds: float = 30
    health_check_timeout_seconds: float = 10.0
    consecutive_failures_threshold: int = 3
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.backend_type in tuple(BackendType):
            self.backend_type = BackendType(self.backend_type)


@dataclass
class ProductionLoadBalancingConfig:
    """The whole configuration, with the specified fields and defaults; `extra` as for a backend (`routes`, `retry` ...)."""

    strategy: LoadBalancingStrategy = LoadBalancingStrategy.ADAPTIVE_LEARNING
    backend_instances: dict[str, BackendInstanceConfig] = field(default_factory=dict)
    enable_adaptive_routing: bool = True
    enable_cost_optimization: bool = True
    enable_quality_based_routing: bool = True
    enable_real_time_monitoring: bool = True
    routing_decision_timeout_ms: float = 50.0
    max_concurrent_health_checks: int = 10
    health_check_batch_size: int = 5
    global_circuit_breaker_enabled: bool = True
    cascade_failure_prevention: bool = True
    enable_prometheus_metrics: bool = True
    enable_grafana_dashboards: bool = True
    alert_webhook_url: str | None = field(default=None, repr=False)
    alert_email_recipients: list[str] = field(default_factory=list)
    cost_optimization_target: float = 0.8
    cost_tracking_window_hours: float = 24
    minimum_quality_threshold: float = 0.7
    quality_sampling_rate: float = 0.1
    learning_rate: float = 0.01
    performance_history_window_hours: float = 168
    weight_adjustment_frequency_minutes: float = 15
    extra: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.strategy in tuple(LoadBalancingStrategy):
            self.strategy = LoadBalancingStrategy(self.strategy)


@dataclass(frozen=True)
class AlertThresholds:
    """The specification's levels for (warning, critical, emergency): milliseconds, shares and percent as it has them."""

    response_time_ms: tuple[float, float, float] = (1000.0, 2000.0, 5000.0)
    error_rate: tuple[float, float, float] = (0.05, 0.15, 0.30)
    availability_percentage: tuple[float, float, float] = (95.0, 90.0, 80.0)
    health_score: tuple[float, float, float] = (80.0, 60.0, 40.0)
    consecutive_failures: tuple[int, int, int] = (3, 5, 10)
    quota_usage: tuple[float, float, float] = (0.80, 0.90, 0.95)
    cpu_percentage: tuple[float, float, float] = (70.0, 85.0, 95.0)
    memory_percentage: tuple[float, float, float] = (70.0, 85.0, 95.0)
    disk_percentage: tuple[float, float, float] = (70.0, 85.0, 90.0)
    suppression_seconds: float = 300.0


COST_OPTIMIZATION_CONFIG: dict[str, Any] = {
    "target_cost_efficiency": 0.8,
    "cost_tracking_window": 24,
    "budget_alerts": {"daily_budget": 50.0, "hourly_budget": 5.0, "alert_thresholds": [0.7, 0.9]},
    "cost_per_backend": {
        "perplexity": {"input_tokens": 0.20, "output_tokens": 0.20}, "lightrag": {"processing": 0.05, "storage_per_gb": 0.10},
    },
}  # fmt: skip
"""Dollars, hours, shares and dollars per 1,000 tokens, as documented. What an answer really cost is metered: this table's
$0.20 per 1,000 tokens is about a hundred times Perplexity's price."""

QUALITY_CONFIG: dict[str, Any] = {
    "minimum_quality_threshold": 0.7,
    "quality_sampling_rate": 0.1,
    "quality_metrics": {
        "response_relevance": 0.4, "factual_accuracy": 0.3, "completeness": 0.2, "citation_quality": 0.1},
    "feedback_integration": {"user_ratings": True, "automated_scoring": True, "expert_review": True},
}  # fmt: skip

PRODUCTION_LB_FEATURES: dict[str, bool] = {
    "real_api_health_checks": True, "cost_optimization": True, "quality_based_routing": True, "adaptive_learning": False,
    "circuit_breaker_v2": True, "prometheus_metrics": True, "multi_instance_support": False,
}  # fmt: skip
"""The seven switches of a move, with their documented values. HybridQueryRouter reads this very table at each question."""
