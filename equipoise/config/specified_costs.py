"""The specification's COST_OPTIMIZATION_CONFIG: what each of its fields is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from equipoise.config.errors import ConfigurationError, Problem, did_you_mean

T = TypeVar("T")
FIELDS = ("target_cost_efficiency", "cost_tracking_window", "budget_alerts", "cost_per_backend")
WINDOWS = {"daily_budget": ("daily", "day"), "hourly_budget": ("hourly", "hour")}
PER_1K = ("input_tokens", "output_tokens", "processing")


def with_costs(config: T, costs: Mapping[str, Any]) -> T:
    """A specified configuration with what the dict says: target, window, budgets with their alerts, prices.

    Prices are a fallback, as `cost_per_1k_tokens` is: what an upstream bills, or publishes, is truer. `storage_per_gb` is
    no cost of a question and is left out. Raises ConfigurationError for a field there is not.
    """
    for name in costs:
        if name not in FIELDS:
            raise ConfigurationError([Problem((str(name),), "is not a known field", hint=did_you_mean(name, FIELDS))])
    of: Any = config
    found = {
        "cost_optimization_target": costs.get("target_cost_efficiency", of.cost_optimization_target),
        "cost_tracking_window_hours": costs.get("cost_tracking_window", of.cost_tracking_window_hours),
        "extra": {**of.extra, "budgets": {**budgets_of(costs.get("budget_alerts", {})), **of.extra.get("budgets", {})}},
        "backend_instances": {
            name: _priced(backend, costs.get("cost_per_backend", {})) for name, backend in of.backend_instances.items()
        },
    }
    changed: T = replace(of, **found)
    return changed


def budgets_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """The budgets `daily` and `hourly`, in dollars, with their alerts."""
    alerts = {"alerts": list(said["alert_thresholds"])} if "alert_thresholds" in said else {}
    return {
        name: {"usd": said[field], "window": window, **alerts}
        for field, (name, window) in WINDOWS.items()
        if field in said
    }


def _priced(backend: Any, prices: Mapping[str, Mapping[str, float]]) -> Any:
    rates = [rate for field, rate in prices.get(str(backend.backend_type.value), {}).items() if field in PER_1K]
    return replace(backend, cost_per_1k_tokens=max(rates)) if rates and not backend.cost_per_1k_tokens else backend
