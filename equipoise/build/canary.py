"""The rules and the plan of a canary."""

from __future__ import annotations

from equipoise.config import Config
from equipoise.config.canary import CanaryConfig
from equipoise.core.canary import Rules, measures
from equipoise.core.ladder import Plan


def rules_of(config: Config) -> Rules:
    """What is compared, and how surely something must be worse. A migration's sides are compared by the same."""
    of = config.canary
    alpha = of.alpha.model_dump()
    ratio = alpha.pop("sample_ratio")
    tolerance = of.tolerance.model_dump()
    fast = tolerance.pop("fast_seconds")
    return Rules(
        measures=measures(
            alpha=alpha,
            margin=of.margin.model_dump(),
            tolerance=tolerance,
            fast_seconds=fast,
            required=of.required,
        ),
        ratio_alpha=ratio,
        safe_alpha=of.promotion_alpha,
        failures_in_a_row=of.failures_in_a_row,
    )


def plan_of(of: CanaryConfig) -> Plan:
    """How it climbs."""
    return Plan(
        rungs=of.ladder,
        hold_seconds=of.hold_minutes * 60.0,
        least_requests=of.minimum_requests,
        quiet_seconds=of.quiet_minutes * 60.0,
        quiet_requests=of.quiet_requests,
        copies=of.copies.questions,
        climbs=of.advance,
    )
