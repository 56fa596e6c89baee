"""Four environments as starting points: development, staging, production, high_availability.

Their numbers are the specification's. Addresses come from LIGHTRAG_{PRIMARY,SECONDARY,TERTIARY}_URL where these are set;
no key is needed until a backend that wants one is asked. ENVIRONMENT names the one that is served without a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from equipoise.config.errors import ConfigurationError, Problem, did_you_mean
from equipoise.config.errors import Path as FieldPath
from equipoise.config.save import leaves, to_yaml
from equipoise.config.tree import Tree

VARIABLE = "ENVIRONMENT"
PERPLEXITY = "https://api.perplexity.ai"
Backends = dict[str, dict[str, Any]]


def _lightrag(url: str, weight: float, cost: float, **more: Any) -> dict[str, Any]:
    return {
        "backend_type": "lightrag",
        "endpoint_url": url,
        "weight": weight,
        "cost_per_1k_tokens": cost,
        **more,
    }


def _perplexity(weight: float, milliseconds: float, quality: float, failures: int, **more: Any) -> dict[str, Any]:
    return {
        "backend_type": "perplexity",
        "endpoint_url": PERPLEXITY,
        "weight": weight,
        "cost_per_1k_tokens": 0.20,
        "timeout_seconds": 30.0,
        "health_check_path": "/models",
        "expected_response_time_ms": milliseconds,
        "quality_score": quality,
        "failure_threshold": failures,
        "recovery_timeout_seconds": 60.0,
        **more,
    }


def _graph(milliseconds: float, quality: float, reliability: float, per_minute: int, **more: Any) -> dict[str, Any]:
    """What the production LightRAG servers have in common: little patience, quick to be left alone and asked again."""
    return {
        "max_requests_per_minute": per_minute,
        "timeout_seconds": 20.0,
        "expected_response_time_ms": milliseconds,
        "quality_score": quality,
        "reliability_score": reliability,
        "failure_threshold": 3,
        "recovery_timeout_seconds": 30.0,
        **more,
    }


def _url(which: str, host: str) -> str:
    return f"${{LIGHTRAG_{which}_URL:-http://{host}:9621}}"


DEVELOPMENT: Backends = {
    "dev_lightrag": _lightrag(
        _url("PRIMARY", "localhost"),
        2.0,
        0.01,
        timeout_seconds=30.0,
        expected_response_time_ms=500.0,
        quality_score=0.85,
        failure_threshold=10,
        recovery_timeout_seconds=30.0,
    ),
    "dev_perplexity": _perplexity(0.5, 2000.0, 0.80, 5, timeout_seconds=45.0),
}
STAGING: Backends = {
    "staging_lightrag_primary": _lightrag(_url("PRIMARY", "lightrag-staging-1"), 1.5, 0.05),
    "staging_lightrag_secondary": _lightrag(_url("SECONDARY", "lightrag-staging-2"), 1.2, 0.05),
    "staging_perplexity": _perplexity(1.0, 1800.0, 0.85, 3),
}
PRODUCTION: Backends = {
    "prod_lightrag_primary": _lightrag(
        _url("PRIMARY", "lightrag-prod-1"), 2.0, 0.05, **_graph(600.0, 0.92, 0.98, 300, priority=1)
    ),
    "prod_lightrag_secondary": _lightrag(
        _url("SECONDARY", "lightrag-prod-2"), 1.8, 0.05, **_graph(700.0, 0.90, 0.96, 250, priority=1)
    ),
    "prod_lightrag_tertiary": _lightrag(
        _url("TERTIARY", "lightrag-prod-3"), 1.5, 0.05, **_graph(800.0, 0.88, 0.94, 200, priority=2)
    ),
    "prod_perplexity_primary": _perplexity(
        1.0, 1800.0, 0.86, 2, max_requests_per_minute=100, reliability_score=0.92, priority=1
    ),
    "prod_perplexity_secondary": _perplexity(
        0.8, 2000.0, 0.86, 2, max_requests_per_minute=80, reliability_score=0.90, priority=2
    ),
}
HIGH_AVAILABILITY: Backends = {
    **{
        f"us_east_lightrag_{number}": _lightrag(
            _url(which, f"lightrag-us-east-{number}"), 2.0, 0.05, **_graph(600.0, 0.92, 0.98, 300, region="us-east")
        )
        for number, which in enumerate(("PRIMARY", "SECONDARY", "TERTIARY"), 1)
    },
    **{
        f"us_west_lightrag_{number}": _lightrag(
            f"http://lightrag-us-west-{number}:9621",
            1.5,
            0.06,
            **_graph(800.0, 0.90, 0.96, 250, region="us-west", priority=priority),
        )
        for number, priority in ((1, 4), (2, 5))
    },
    **{
        f"perplexity_account_{number}": _perplexity(
            1.0, 1800.0, 0.86, 2, max_requests_per_minute=100, reliability_score=0.92
        )
        for number in (1, 2, 3)
    },
}
ACCOUNTS = {
    "prod_perplexity_primary": "PERPLEXITY_API_KEY_PRIMARY",
    "prod_perplexity_secondary": "PERPLEXITY_API_KEY_SECONDARY",
    **{f"perplexity_account_{number}": f"PERPLEXITY_API_KEY_{number}" for number in (1, 2, 3)},
}
"""Which variable holds the key of which account; PERPLEXITY_API_KEY stands in."""

ALERTS = {
    "alert_webhook_url": "${ALERT_WEBHOOK_URL:-}",
    "alert_email_recipients": "${ALERT_EMAIL_RECIPIENTS:-}",
}


def _whole(
    strategy: str,
    learns: bool,
    timeout: float,
    health: tuple[int, int],
    floors: tuple[float, float],
    learning: tuple[float, float],
    **more: Any,
) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "enable_adaptive_routing": learns,
        "enable_cost_optimization": learns,
        "routing_decision_timeout_ms": timeout,
        "max_concurrent_health_checks": health[0],
        "health_check_batch_size": health[1],
        "cost_optimization_target": floors[0],
        "minimum_quality_threshold": floors[1],
        "learning_rate": learning[0],
        "weight_adjustment_frequency_minutes": learning[1],
        **more,
    }


LEARNING = "adaptive_learning"
PRESETS: dict[str, dict[str, Any]] = {
    "development": {
        "backend_instances": DEVELOPMENT,
        **_whole("weighted_round_robin", False, 100.0, (5, 2), (0.9, 0.6), (0.1, 30.0)),
        "enable_real_time_monitoring": False,
    },
    "staging": {
        "backend_instances": STAGING,
        **_whole(LEARNING, True, 75.0, (8, 4), (0.85, 0.7), (0.02, 20.0)),
    },
    "production": {
        "backend_instances": PRODUCTION,
        **_whole(LEARNING, True, 50.0, (10, 5), (0.8, 0.75), (0.01, 15.0), **ALERTS),
    },
    "high_availability": {
        "backend_instances": HIGH_AVAILABILITY,
        **_whole(LEARNING, True, 50.0, (15, 8), (0.75, 0.8), (0.005, 30.0)),
    },
}


def _local(name: str, port: int) -> Backends:
    url = f"http://localhost:{port}"
    more = {"max_requests_per_minute": 200, "timeout_seconds": 20.0, "expected_response_time_ms": 800.0}
    believed = {"quality_score": 0.90, "reliability_score": 0.95}
    return {name: _lightrag(url, 1.5, 0.05, **more, **believed, failure_threshold=5, recovery_timeout_seconds=30.0)}


def _account(name: str) -> Backends:
    return {name: _perplexity(1.0, 2000.0, 0.85, 3, max_requests_per_minute=100, reliability_score=0.90)}


FLEETS: dict[str, dict[str, Any]] = {
    "default": {"backend_instances": _account("perplexity_primary") | _local("lightrag_primary", 9621)},
    "multi_instance": {
        "backend_instances": _account("perplexity_primary")
        | _account("perplexity_secondary")
        | _local("lightrag_primary", 9621)
        | _local("lightrag_secondary", 9622)
        | _local("lightrag_tertiary", 9623)
    },
}
"""Two fleets on this machine with the specification's numbers; ENVIRONMENT does not choose them."""


def preset(name: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The data of one environment, references unfilled; each account has its own key where the environment holds it.

    Raises ConfigurationError for a name that is none of the four.
    """
    known = PRESETS | FLEETS
    if name not in known:
        raise ConfigurationError(
            [
                Problem(
                    (), f"must be one of {', '.join(PRESETS)}", name, did_you_mean(name, PRESETS), where=f"${VARIABLE}"
                )
            ]
        )
    data = deepcopy(known[name])
    for backend, variable in ACCOUNTS.items():
        if backend in data["backend_instances"] and environ.get(variable):
            data["backend_instances"][backend]["api_key"] = f"${{{variable}}}"
    return data


def lay_under(tree: Tree, name: str, environ: Mapping[str, str]) -> None:
    """Say whatever the tree leaves unsaid as the environment of this name does; its backends only where there are none."""
    own = bool(tree.data.get("backend_instances"))
    for path, value in _said(preset(name, environ)):
        if tree.get(path) is None and not (own and path[0] == "backend_instances"):
            tree.set(path, value, f"${VARIABLE}={name}")


def _said(data: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Any]]:
    yield from leaves(data)


def template(name: str) -> str:
    """One environment as a file to begin with."""
    return HEAD.format(name=name) + to_yaml(preset(name, {}))


HEAD = """\
# Equipoise: the {name} environment as a file to begin with. `equipoise check -c FILE` says what is wrong with it.
# Keys come from LIGHTRAG_API_KEY and PERPLEXITY_API_KEY; where accounts differ, write api_key: ${{VARIABLE}} beside them.
"""
