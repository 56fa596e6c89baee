"""Names of the earlier system that are not ours: its routers' values and its templates' variables, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from equipoise.core.model import Strategy

EVERY = "*"
RETIRED_MODEL = "llama-3.1-sonar"


@dataclass(frozen=True)
class Meaning:
    """Where a value belongs: a dotted path, or (`EVERY`) a field of all backends; `backend` makes one of this kind."""

    path: str = EVERY
    field: str = ""
    read: Callable[[str], Any] = str
    why: str = ""
    backend: str = ""
    secret: bool = False


def _flag(value: Any) -> Any:
    words: dict[str, bool] = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    return words.get(str(value).lower(), value)


def _count(value: Any) -> int:
    return int(float(value))


def _lower(value: Any) -> str:
    return str(value).lower()


def _seconds(milliseconds: Any) -> float:
    return float(milliseconds) / 1000


def _style(value: Any) -> str:
    return "json" if str(value).lower() in ("json", "structured") else "console"


ALGORITHMS = {
    **{strategy.value: strategy.value for strategy in Strategy},
    "least_connections": Strategy.PERFORMANCE_BASED.value,
    "response_time": Strategy.PERFORMANCE_BASED.value,
    "load_aware": Strategy.HEALTH_AWARE.value,
    "hybrid": Strategy.ADAPTIVE_LEARNING.value,
}
"""The ten algorithms of the earlier selector, and which of the eight strategies does what each was for."""

_NEAREST = "the strategy that does what the algorithm was for"
_EVERY_BACKEND = {
    "HEALTH_CHECK_INTERVAL": Meaning(field="health_check_interval_seconds", read=float),
    "HEALTH_CHECK_TIMEOUT": Meaning(field="health_check_timeout_seconds", read=float),
    "UNHEALTHY_THRESHOLD": Meaning(field="consecutive_failures_threshold", read=_count),
    "CB_FAILURE_THRESHOLD": Meaning(field="failure_threshold", read=_count),
    "CB_SUCCESS_THRESHOLD": Meaning(field="half_open_max_requests", read=_count),
    "CB_TIMEOUT": Meaning(field="recovery_timeout_seconds", read=float),
    "MAX_RESPONSE_TIME_MS": Meaning(field="timeout_seconds", read=_seconds, why="seconds here"),
    "MAX_CONCURRENT_REQUESTS": Meaning(field="max_concurrent_requests", read=_count),
    "RATE_LIMIT_RPM": Meaning(field="max_requests_per_minute", read=_count),
}
VARIABLES: dict[str, Meaning] = {
    "PROD_LB_LIGHTRAG_ENDPOINT": Meaning("lightrag", "endpoint_url", backend="lightrag"),
    "PROD_LB_PERPLEXITY_ENDPOINT": Meaning("perplexity", "endpoint_url", backend="perplexity"),
    "PROD_LB_OPENAI_ENDPOINT": Meaning("openai", "endpoint_url", backend="openai_direct"),
    "PERPLEXITY_API": Meaning("perplexity", "api_key", backend="perplexity"),
    **{f"PROD_LB_{name}": meaning for name, meaning in _EVERY_BACKEND.items()},
    "PROD_LB_PRIMARY_ALGORITHM": Meaning("strategy", why=_NEAREST),
    "PROD_LB_ENABLE_ADAPTIVE": Meaning("enable_adaptive_routing", read=_flag),
    "PROD_LB_ADVANCED_ALGORITHMS": Meaning("enable_adaptive_routing", read=_flag),
    "PROD_LB_ENABLE_MONITORING": Meaning("enable_real_time_monitoring", read=_flag),
    "PROD_LB_COST_OPTIMIZATION": Meaning("enable_cost_optimization", read=_flag),
    "PROD_LB_QUALITY_METRICS": Meaning("enable_quality_based_routing", read=_flag),
    "PROD_LB_SLACK_WEBHOOK": Meaning("alert_webhook_url", secret=True),
    "PROD_LB_EMAIL_RECIPIENTS": Meaning("alert_email_recipients"),
    "PROD_LB_LOG_LEVEL": Meaning("log.level", read=_lower),
    "PROD_LB_LOG_FORMAT": Meaning("log.format", read=_style),
    "ROUTING_LOGGING_ENABLED": Meaning("log.access", read=_flag, why="one line a request, without the question"),
    "ROUTING_LOG_LEVEL": Meaning("log.level", read=_lower),
    "ROUTING_REAL_TIME_ANALYTICS": Meaning("enable_prometheus_metrics", read=_flag),
    "ROUTING_PERF_MONITORING": Meaning("enable_real_time_monitoring", read=_flag),
}
FILE_NAMES: dict[str, Meaning] = {
    "health_check_interval": Meaning(field="health_check_interval_seconds", read=float),
    "circuit_breaker_threshold": Meaning(field="failure_threshold", read=_count),
    "circuit_breaker_timeout": Meaning(field="recovery_timeout_seconds", read=float),
    "response_time_threshold_ms": Meaning(field="expected_response_time_ms", read=float, why="slower counts as slow"),
    "primary_algorithm": Meaning("strategy", why=_NEAREST),
}
"""What the earlier router called its settings; in a section of its own or not."""

_MOVE = "the share of traffic is part of the move: `equipoise migrate apply --percentage N`"
_MONEY, _SEEING = "waits for its feature (Money)", "waits for its feature (Seeing)"
NOTED: dict[str, str] = {
    "PROD_LB_ENABLED": "off is `equipoise migrate rollback 0`; on is a phase: `equipoise migrate apply`",
    "PROD_LB_DEPLOYMENT_MODE": "shadow is phase 1, canary and a_b_testing are a percentage, production_only is phase 5",
    "PROD_LB_TRAFFIC_PERCENT": _MOVE,
    "PROD_LB_PERF_COMPARISON": "`equipoise migrate status` compares both sides always",
    "PROD_LB_AUTO_FAILBACK": "a backend that fails is left out at once, and a phase does not begin while its gates fail",
    "PROD_LB_ROLLBACK_ERROR_RATE": "migration.criteria.success_rate_percentage is 100 minus this",
    "PROD_LB_ROLLBACK_LATENCY_MS": "migration.criteria.response_time_ms",
    "PROD_LB_CANARY_MAX_HOURS": "migration.hold_minutes says how long a phase lasts at least, not at most",
    "PROD_LB_HEALTHY_THRESHOLD": "one good probe is enough; traffic then comes back slowly",
    "PROD_LB_FALLBACK_ALGORITHMS": "a strategy needs none; routes have a fallback of backends",
    "PROD_LB_METRICS_RETENTION_HOURS": "Prometheus keeps metrics; the ledger keeps attempts for 90 days",
    "PROD_LB_ALERT_ERROR_RATE": "say it as alerts.thresholds.error_rate, with a level each",
    "PROD_LB_ALERT_LATENCY_MS": "say it as alerts.thresholds.response_time_ms, with a level each",
    "PROD_LB_ALERT_QUEUE_SIZE": "lb_in_flight and lb_queue_depth in Prometheus; deploy/prometheus/alerts.yaml",
    "PROD_LB_COST_TRACKING_ENABLED": "every attempt is in the ledger with its cost",
    "PROD_LB_DAILY_BUDGET_USD": _MONEY,
    "PROD_LB_ALERT_THRESHOLD_USD": _MONEY,
    "PROD_LB_PREFER_LOW_COST_BACKENDS": "strategy: cost_optimized, or the model name auto:cheap",
    "PROD_LB_COST_WEIGHT_FACTOR": "cost_optimized weighs nothing: the cheapest that is good enough",
    "PROD_LB_RATE_LIMIT_BURST": "a limit holds for any 60 seconds, bursts included",
    "ROUTING_STORAGE_STRATEGY": "the ledger: SQLite, written in batches beside the requests",
    "ROUTING_ANALYTICS_INTERVAL_MINUTES": "/metrics and the admin listener are always up to date",
    "ROUTING_ANOMALY_DETECTION": _SEEING,
    "ROUTING_MAX_LOGGING_OVERHEAD_MS": "nothing is logged in the path of a request",
    "ROUTING_ANONYMIZE_QUERIES": "questions are neither logged nor recorded",
    "ROUTING_HASH_SENSITIVE_DATA": "of a question only a hash is recorded, always",
}
"""Variables that no field stands for, and what does."""
