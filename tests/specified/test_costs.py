"""An application that passes COST_OPTIMIZATION_CONFIG gets what it says; one that does not has no budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.config import ConfigurationError
from lightrag_integration.production_load_balancer import (
    COST_OPTIMIZATION_CONFIG,
    BackendInstanceConfig,
    ProductionLoadBalancer,
    ProductionLoadBalancingConfig,
)


@pytest.fixture
def config(tmp_path: Path) -> ProductionLoadBalancingConfig:
    backends = {
        "graph": BackendInstanceConfig("graph", "lightrag", "http://127.0.0.1:1", "k"),  # type: ignore[arg-type]
        "web": BackendInstanceConfig("web", "perplexity", "http://127.0.0.1:1", "k", cost_per_1k_tokens=0.5),  # type: ignore[arg-type]
    }
    return ProductionLoadBalancingConfig(backend_instances=backends, extra={"state_dir": str(tmp_path)})


async def test_every_field_of_the_dict_means_something(config: ProductionLoadBalancingConfig) -> None:
    """Budgets with their alerts, the target, the window, and prices where there were none."""
    changed = {**COST_OPTIMIZATION_CONFIG, "target_cost_efficiency": 0.6, "cost_tracking_window": 12}
    it = ProductionLoadBalancer(config, cost_optimization=changed)
    budgets = it.balancer.selection.budgets.options
    assert {name: (of.limit, of.alerts) for name, of in budgets.items()} == {
        "daily": (50_000_000_000, (0.7, 0.9)),
        "hourly": (5_000_000_000, (0.7, 0.9)),
    }
    assert it.get_metrics_summary()["cost_efficiency"] == {"ratio": None, "target": 0.6, "window_hours": 12.0}
    prices = {name: of.cost_per_1k_tokens for name, of in it.config.backend_instances.items()}
    assert prices == {"graph": 0.05, "web": 0.5}
    await it.stop_monitoring()


async def test_without_the_dict_there_is_no_budget(config: ProductionLoadBalancingConfig) -> None:
    """Its 50 and 5 are an example's, until somebody passes them."""
    it = ProductionLoadBalancer(config)
    assert not it.balancer.selection.budgets.active
    await it.stop_monitoring()


def test_a_field_there_is_not_is_refused(config: ProductionLoadBalancingConfig) -> None:
    """As in a configuration file."""
    with pytest.raises(ConfigurationError, match="budget_alerts"):
        ProductionLoadBalancer(config, cost_optimization={"budget_alert": {}})
