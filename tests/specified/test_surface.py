"""Every public name is importable from the module that the specification names, and the package stays thin."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

import lightrag_integration
from lightrag_integration.production_load_balancer import (
    BackendInstanceConfig,
    BackendType,
    CircuitBreakerState,
    HealthStatus,
    LoadBalancingStrategy,
    ProductionLoadBalancer,
    ProductionLoadBalancingConfig,
)
from tests.specified.conftest import ROOT

PACKAGE = ROOT / "lightrag_integration"
FILES = sorted(PACKAGE.glob("*.py"))
NAMES = {
    "production_load_balancer": """BackendType LoadBalancingStrategy CircuitBreakerState HealthStatus AlertSeverity
        BackendInstanceConfig ProductionLoadBalancingConfig ProductionLoadBalancer BaseBackendClient
        PerplexityBackendClient LightRAGBackendClient OpenAIBackendClient LocalLLMBackendClient ConnectionPool
        ProductionCircuitBreaker PrometheusMetrics RoutingDecisionMetrics BackendMetrics RoutingDecision
        create_default_production_config create_multi_instance_config validate_backend_config AlertThresholds
        COST_OPTIMIZATION_CONFIG QUALITY_CONFIG""",
    "production_config_schema": """ConfigurationError ConfigurationValidator ConfigurationFactory ConfigurationFileHandler
        EnvironmentConfigurationBuilder ConfigurationManager validate_backend_config generate_configuration_templates
        create_default_production_config create_multi_instance_config BackendInstanceConfig BackendType
        ProductionLoadBalancingConfig LoadBalancingStrategy COST_OPTIMIZATION_CONFIG QUALITY_CONFIG""",
    "deploy_production_load_balancer": "ProductionDeploymentManager main",
    "migration": "HybridQueryRouter PRODUCTION_LB_FEATURES RoutingResult",
}
METHODS = """start_monitoring stop_monitoring select_optimal_backend send_query select_backend get_backend_status
    get_routing_statistics get_pool_status update_backend_config add_backend_instance remove_backend_instance
    register_backend_instance schedule_backend_removal enable_auto_scaling disable_auto_scaling
    get_algorithm_performance_metrics optimize_algorithms get_algorithm_selection_analytics update_strategy
    get_metrics_summary get_health_summary"""
COROUTINES = """start_monitoring stop_monitoring select_optimal_backend send_query select_backend update_backend_config
    remove_backend_instance register_backend_instance schedule_backend_removal optimize_algorithms"""


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_where_the_specification_says(module: str) -> None:
    """In its module, and in the package as well."""
    found = importlib.import_module(f"lightrag_integration.{module}")
    for name in NAMES[module].split():
        assert hasattr(found, name), name
        assert name == "main" or getattr(lightrag_integration, name, None) is getattr(found, name), name


def test_the_balancer_has_every_method_and_the_same_ones_are_coroutines() -> None:
    """Callers keep their `await`s."""
    assert [name for name in METHODS.split() if not callable(getattr(ProductionLoadBalancer, name, None))] == []
    found = {name for name in METHODS.split() if inspect.iscoroutinefunction(getattr(ProductionLoadBalancer, name))}
    assert found == set(COROUTINES.split())


def test_the_enumerations_hold_the_specified_words() -> None:
    """Values, not only names: they stand in files and metrics."""
    assert {"lightrag", "perplexity", "openai_direct", "local_llm"} <= {of.value for of in BackendType}
    assert [of.value for of in LoadBalancingStrategy] == [
        "round_robin", "weighted", "health_aware", "weighted_round_robin",
        "cost_optimized", "performance_based", "adaptive_learning", "quality_based",
    ]  # fmt: skip
    assert {of.value for of in CircuitBreakerState} == {"closed", "open", "half_open"}
    assert {of.value for of in HealthStatus} == {"healthy", "degraded", "unhealthy", "unknown"}
    assert [of.value for of in lightrag_integration.AlertSeverity] == ["critical", "high", "medium", "low"]


def test_the_defaults_are_the_specified_ones() -> None:
    """Not Equipoise's own: whoever builds one in Python knows these."""
    backend = BackendInstanceConfig("a", BackendType.LIGHTRAG, "http://x:1", "key")
    assert (backend.weight, backend.cost_per_1k_tokens, backend.max_requests_per_minute) == (1.0, 0.0, 100)
    assert (backend.timeout_seconds, backend.health_check_path, backend.priority) == (30.0, "/health", 1)
    assert (backend.expected_response_time_ms, backend.quality_score, backend.reliability_score) == (1000.0, 1.0, 1.0)
    assert (backend.circuit_breaker_enabled, backend.failure_threshold, backend.recovery_timeout_seconds) == (
        True,
        5,
        60,
    )
    assert (backend.half_open_max_requests, backend.health_check_interval_seconds) == (3, 30)
    assert (backend.health_check_timeout_seconds, backend.consecutive_failures_threshold) == (10.0, 3)
    whole = ProductionLoadBalancingConfig()
    assert (whole.strategy, whole.backend_instances) == (LoadBalancingStrategy.ADAPTIVE_LEARNING, {})
    assert (whole.routing_decision_timeout_ms, whole.max_concurrent_health_checks) == (50.0, 10)
    assert (whole.health_check_batch_size, whole.cost_optimization_target) == (5, 0.8)
    assert (whole.cost_tracking_window_hours, whole.minimum_quality_threshold) == (24, 0.7)
    assert (whole.quality_sampling_rate, whole.learning_rate) == (0.1, 0.01)
    assert (whole.performance_history_window_hours, whole.weight_adjustment_frequency_minutes) == (168, 15)


def test_a_key_is_not_in_the_representation() -> None:
    """Configurations end up in logs."""
    assert "hidden-key" not in repr(BackendInstanceConfig("a", BackendType.LIGHTRAG, "http://x:1", "hidden-key"))


def test_it_is_thin() -> None:
    """At most 1,500 lines, no file above 400, and no arithmetic: numbers are computed in the product."""
    sizes = {file.name: len(file.read_text().splitlines()) for file in FILES}
    assert sum(sizes.values()) <= 1500
    assert max(sizes.values()) <= 400
    operators = (
        ast.Add,
        ast.Sub,
        ast.Mult,
        ast.Div,
        ast.FloorDiv,
        ast.Mod,
        ast.Pow,
        ast.MatMult,
        ast.LShift,
        ast.RShift,
    )
    found = [
        f"{file.name}:{node.lineno}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, operators)
    ]
    assert found == [], "arithmetic belongs into equipoise"


def test_it_imports_the_product_absolutely_and_itself_relatively() -> None:
    """So it works under its own name and inside a package of an application."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not str(node.module).startswith("lightrag_integration"), file.name
            if isinstance(node, ast.ImportFrom) and node.level:
                assert not str(node.module).startswith("equipoise"), file.name
