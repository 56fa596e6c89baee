"""Budgets and cost efficiency as gauges, read when somebody scrapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

NANO = 1_000_000_000
LABELS = ["budget", "unit"]
ROWS = {
    "lb_budget_limit": ("limit", "What may be spent in the window: dollars, requests or tokens, as `unit` says."),
    "lb_budget_spent": ("spent", "What was spent in the window, over all gateways that share the budget."),
    "lb_budget_reserved": ("reserved", "What is promised to questions under way at this gateway."),
    "lb_budget_held": ("held", "Slices that gateways hold, promised or not; `unknown` ones of dead gateways left out."),
}


def budget_families(rows: Iterable[Mapping[str, Any]], efficiency: float | None) -> Iterator[Metric]:
    """The families, also where there are no budgets; one time series an account."""
    found = list(rows)
    for name, (field, text) in ROWS.items():
        family = GaugeMetricFamily(name, text, labels=LABELS)
        for row in found:
            family.add_metric([row["budget"], row["unit"]], _amount(row, field))
        yield family
    forecast = GaugeMetricFamily(
        "lb_budget_exhausted_timestamp_seconds", "When it is used up at this pace; absent if it is not.", labels=LABELS
    )
    for row in found:
        if row["exhausted_at"] is not None:
            forecast.add_metric([row["budget"], row["unit"]], row["exhausted_at"])
    yield forecast
    ratio = GaugeMetricFamily(
        "lb_cost_efficiency_ratio", "What the cheapest good enough backends would have cost, of what was paid; 0 to 1."
    )
    if efficiency is not None:
        ratio.add_metric([], efficiency)
    yield ratio


def _amount(row: Mapping[str, Any], field: str) -> float:
    return float(row[field] / NANO) if row["unit"] == "usd" else float(row[field])
