"""The specification's own example, and its rules of validation."""

from __future__ import annotations

import pytest

from equipoise.config import Config
from equipoise.config.load import load
from equipoise.core.model import BackendType, Strategy
from tests.shell.config.conftest import Write, good, told

EXAMPLE = """\
# Production configuration with 5 backend instances
backend_instances:
  prod_lightrag_primary:
    backend_type: lightrag
    endpoint_url: "http://lightrag-prod-1:8080"
    weight: 2.0
    cost_per_1k_tokens: 0.05
    expected_response_time_ms: 600.0
    quality_score: 0.92
  
  prod_perplexity_primary:
    backend_type: perplexity  
    endpoint_url: "https://api.perplexity.ai"
    weight: 1.0
    cost_per_1k_tokens: 0.20
    expected_response_time_ms: 1800.0
    quality_score: 0.86

strategy: adaptive_learning
enable_cost_optimization: true
enable_quality_based_routing: true
cost_optimization_target: 0.8
"""  # noqa: W291, W293 (as printed)


def test_the_example_of_the_specification_loads_as_printed(write: Write) -> None:
    """Ids come from the keys, and every value is the printed one."""
    config = good(EXAMPLE, write).config
    lightrag, perplexity = config.backend_instances.values()
    assert (lightrag.id, lightrag.backend_type, lightrag.weight) == ("prod_lightrag_primary", BackendType.LIGHTRAG, 2.0)
    assert (lightrag.cost_per_1k_tokens, lightrag.expected_response_time_ms, lightrag.quality_score) == (
        0.05,
        600,
        0.92,
    )
    assert perplexity.endpoint_url == "https://api.perplexity.ai"
    assert config.strategy is Strategy.ADAPTIVE_LEARNING
    assert config.cost_optimization_target == 0.8


def test_the_example_takes_its_key_from_the_environment(write: Write) -> None:
    """The printed file has no api_key; PERPLEXITY_API_KEY is the one of its Perplexity backend, and of no other."""
    config = good(EXAMPLE, write, {"PERPLEXITY_API_KEY": "pplx-0123456789abcdef"}).config
    key = config.backend_instances["prod_perplexity_primary"].api_key
    assert key is not None
    assert key.reveal() == "pplx-0123456789abcdef"
    assert config.backend_instances["prod_lightrag_primary"].api_key is None


def test_an_absent_field_has_our_default_not_the_earlier_cap() -> None:
    """No file gets 100 requests a minute or 20 connections without saying so."""
    config = load({"backend_instances": {"a": {"backend_type": "lightrag", "endpoint_url": "http://x:1"}}}).config
    backend = config.backend_instances["a"]
    assert backend.max_requests_per_minute is None
    assert backend.max_concurrent_requests is None
    assert backend.first_byte_timeout_seconds != backend.idle_timeout_seconds


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("weight", 0, "Weight must be positive (got 0)"),
        ("cost_per_1k_tokens", -1, "Cost per 1k tokens must not be negative (got -1)"),
        ("timeout_seconds", 0, "Timeout must be positive (got 0)"),
        ("quality_score", 1.5, "Quality score must be between 0 and 1 (got 1.5)"),
        ("reliability_score", -0.1, "Reliability score must be between 0 and 1 (got -0.1)"),
        ("failure_threshold", 0, "Failure threshold must be positive (got 0)"),
        ("recovery_timeout_seconds", -5, "Recovery timeout must be positive (got -5)"),
        ("half_open_max_requests", 0, "Half open max requests must be positive (got 0)"),
        ("api_key", "''", "must not be empty (got '')"),
        ("endpoint_url", "''", "must be a URL such as http://host:9621 (got '')"),
        ("endpoint_url", "ftp://x", "must be a URL such as http://host:9621 (got 'ftp://x')"),
        ("max_requests_per_minute", "lots", "must be a whole number (got 'lots')"),
        ("max_requests_per_minute", 1.5, "must be a whole number (got 1.5)"),
        ("weight", "true", "must be a number, not true or false (got true)"),
        ("weight", ".nan", "must be a finite number (got nan)"),
        ("circuit_breaker_enabled", "maybe", "must be true or false (got 'maybe')"),
        ("id", "other", "must be equal to the key 'a' (got 'other')"),
    ],
)
def test_every_rule_for_a_backend_says_what_it_wants(write: Write, field: str, value: object, message: str) -> None:
    """The specification's rules in its words, and the ones it forgot."""
    rest = "" if field == "endpoint_url" else "    endpoint_url: http://x:1\n"
    text = f"backend_instances:\n  a:\n    backend_type: lightrag\n    {field}: {value}\n{rest}"
    assert f"equipoise.yaml:4:5: backend_instances.a.{field}: {message}" in told(text, write)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("routing_decision_timeout_ms: 0", "Routing decision timeout must be positive (got 0)"),
        ("cost_optimization_target: 1.1", "Cost optimization target must be between 0 and 1 (got 1.1)"),
        ("cost_optimization_target: 0", "above 0 and at most 1 while enable_cost_optimization is on (got 0)"),
        ("minimum_quality_threshold: -1", "Minimum quality threshold must be between 0 and 1 (got -1)"),
        ("learning_rate: 0", "above 0 and at most 1 while enable_adaptive_routing is on (got 0)"),
        ("strategy: fastest", "must be one of round_robin, weighted, health_aware"),
    ],
)
def test_every_rule_for_the_whole_says_what_it_wants(write: Write, line: str, message: str) -> None:
    """Conditional rules name the switch they depend on."""
    assert message in told(EXAMPLE.replace("strategy: adaptive_learning\n", "").split("enable_cost")[0] + line, write)


def test_a_rule_for_a_switched_off_feature_does_not_apply(write: Write) -> None:
    """A learning rate of 0 is nobody's business while nothing learns."""
    loaded = good(EXAMPLE + "enable_adaptive_routing: false\nlearning_rate: 0\n", write)
    assert loaded.config.learning_rate == 0


def test_at_least_one_backend_is_wanted(write: Write) -> None:
    """An empty mapping is no gateway."""
    assert "backend_instances: At least one backend must be configured" in told("backend_instances: {}", write)


def test_the_nested_form_of_the_earlier_system_means_the_flat_one(write: Write) -> None:
    """circuit_breaker: and health_check: sections are read as the fields they stand for."""
    nested = """\
backend_instances:
  a:
    backend_type: lightrag
    endpoint_url: http://x:1
    circuit_breaker: {enabled: false, failure_threshold: 7, recovery_timeout: 9}
    health_check: {path: /healthz, interval_seconds: 4, timeout: 2}
load_balancing:
  strategy: weighted
"""
    config = good(nested, write).config
    backend = config.backend_instances["a"]
    assert (backend.circuit_breaker_enabled, backend.failure_threshold, backend.recovery_timeout_seconds) == (
        False,
        7,
        9,
    )
    assert (backend.health_check_path, backend.health_check_interval_seconds) == ("/healthz", 4)
    assert backend.health_check_timeout_seconds == 2
    assert config.strategy is Strategy.WEIGHTED


def test_every_field_of_the_specification_is_there() -> None:
    """The names of its two configuration classes, and none missing."""
    backend = """id backend_type endpoint_url api_key weight cost_per_1k_tokens max_requests_per_minute timeout_seconds
        health_check_path priority expected_response_time_ms quality_score reliability_score circuit_breaker_enabled
        failure_threshold recovery_timeout_seconds half_open_max_requests health_check_interval_seconds
        health_check_timeout_seconds consecutive_failures_threshold"""
    whole = """strategy backend_instances enable_adaptive_routing enable_cost_optimization enable_quality_based_routing
        enable_real_time_monitoring routing_decision_timeout_ms max_concurrent_health_checks health_check_batch_size
        global_circuit_breaker_enabled cascade_failure_prevention enable_prometheus_metrics enable_grafana_dashboards
        alert_webhook_url alert_email_recipients cost_optimization_target cost_tracking_window_hours
        minimum_quality_threshold quality_sampling_rate learning_rate performance_history_window_hours
        weight_adjustment_frequency_minutes"""
    kept = Config.model_fields["backend_instances"].annotation
    assert set(whole.split()) <= set(Config.model_fields)
    assert set(backend.split()) <= set(kept.__args__[1].model_fields)
