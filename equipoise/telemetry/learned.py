"""What is learned, as metric families: one sample a kind of question and backend, both from the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

LABELS = ["kind", "backend_id"]
MOST_SAMPLES = 2_000
"""Of each family; these bounds hold even where kinds times backends are more."""


def learned_families(status: Mapping[str, Any]) -> Iterator[Metric]:
    """The families, in a fixed order; without samples where nothing learns."""
    policies = status.get("policies", {})
    yield from _believed(policies)
    yield from _performance(status.get("learned_weights", {}))
    deciding = GaugeMetricFamily(
        "lb_learning_deciding", "1 while learning decides, 0 while health_aware stands in.", labels=["policy"]
    )
    doubts = CounterMetricFamily("lb_learning_doubts", "Decisions that health_aware took in doubt.", labels=["policy"])
    for name, of in sorted(policies.items())[:MOST_SAMPLES]:
        deciding.add_metric([name], float(of.get("deciding", True)))
        doubts.add_metric([name], float(of.get("doubts", 0)))
    yield deciding
    yield doubts


def _believed(policies: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    means = GaugeMetricFamily("lb_believed_quality", "Believed worth of an answer, 0 to 1.", labels=["policy", *LABELS])
    widths = GaugeMetricFamily(
        "lb_believed_quality_half_width", "Half of its 95 % interval.", labels=["policy", *LABELS]
    )
    for policy, of in sorted(policies.items()):
        for kind, name, row in _rows(of.get("believed", {})):
            means.add_metric([policy, kind, name], row["mean"])
            widths.add_metric([policy, kind, name], (row["high"] - row["low"]) / 2.0)
    yield means
    yield widths


def _performance(weights: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """What learned weights follow, where it is known."""
    means = GaugeMetricFamily(
        "lb_learned_performance", "What a learned weight follows: answered times mean quality.", labels=LABELS
    )
    widths = GaugeMetricFamily("lb_learned_performance_half_width", "Half of its 95 % interval.", labels=LABELS)
    for kind, name, row in _rows(weights):
        if row["performance"] is not None:
            means.add_metric([kind, name], row["performance"])
            widths.add_metric([kind, name], (row["high"] - row["low"]) / 2.0)
    yield means
    yield widths


def _rows(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    count = 0
    for kind, rows in sorted(table.items()):
        for name, row in sorted(rows.items()):
            if count < MOST_SAMPLES:
                yield kind, name, row
            count += 1
