"""Each code block of the specification runs; what is a sketch there is completed here and compared with what we do."""

from __future__ import annotations

import ast
import inspect
import shlex
import shutil
import types
from collections import deque
from pathlib import Path
from typing import Any

import pytest

import lightrag_integration.production_load_balancer as plb
from equipoise.config.load import load
from equipoise.core.policies import specified
from lightrag_integration import PRODUCTION_LB_FEATURES, HybridQueryRouter, migration
from lightrag_integration.production_config_schema import ConfigurationFileHandler, validate_backend_config
from tests.specified.conftest import QUESTION, ROOT, SNIPPETS, Balance, Start, backend_config


def snippet(name: str) -> str:
    return (SNIPPETS / name).read_text()


def executed(name: str, **space: Any) -> dict[str, Any]:
    """What the block defines, run with our names."""
    known = {**vars(plb), "List": list, "Tuple": tuple, "Dict": dict, "Any": Any, "deque": deque, **space}
    exec(compile(snippet(name), name, "exec", dont_inherit=True), known)
    return known


def expression(name: str, target: str) -> ast.expr:
    """The value assigned to a name somewhere in a block."""
    for node in ast.walk(ast.parse(snippet(name))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == target:
            return node.value
    raise AssertionError(f"{name} assigns no {target}")


def evaluated(name: str, target: str, **space: Any) -> Any:
    return eval(compile(ast.Expression(expression(name, target)), name, "eval"), space)


def test_the_eight_strategies() -> None:
    """Every name of the list is one of ours."""
    executed("strategies.py.txt")
    names = [
        line.split()[0].removeprefix("LoadBalancingStrategy.") for line in snippet("strategies.py.txt").splitlines()[1:]
    ]
    assert names == [strategy.name for strategy in plb.LoadBalancingStrategy]


def test_the_example_configuration() -> None:
    """It loads as printed, in both readings, and says the same in both."""
    file = SNIPPETS / "configuration.yaml"
    theirs, ours = ConfigurationFileHandler.load_from_yaml(file), load(file, environ={}).config
    for name, backend in ours.backend_instances.items():
        assert theirs.backend_instances[name].weight == backend.weight
        assert theirs.backend_instances[name].expected_response_time_ms == backend.expected_response_time_ms
    assert theirs.strategy is plb.LoadBalancingStrategy.ADAPTIVE_LEARNING
    assert theirs.backend_instances["prod_lightrag_primary"].max_requests_per_minute == 100
    assert ours.backend_instances["prod_lightrag_primary"].max_requests_per_minute is None


async def test_the_backend_clients(start: Start) -> None:
    """The sketch's keys are those of our health checks, and both clients have its method and base class."""
    source = snippet("backend_clients.py.txt")
    keys = {
        key.value
        for node in ast.walk(ast.parse(source + "        pass\n")) if isinstance(node, ast.Dict)
        for key in node.keys if isinstance(key, ast.Constant)
    }  # fmt: skip
    assert keys == {"models_available", "api_version", "rate_limit_remaining"}
    engine = await start("perplexity")
    async with plb.PerplexityBackendClient(backend_config("web", "perplexity", engine)) as client:
        healthy, milliseconds, details = await client.health_check()
    assert healthy
    assert milliseconds > 0
    assert keys <= details.keys()
    assert issubclass(plb.LightRAGBackendClient, plb.BaseBackendClient)


def test_the_selection_sketches_are_the_reported_formulas() -> None:
    """Cost efficiency and composite quality, evaluated from the printed text, equal ours."""
    thing = types.SimpleNamespace
    config = thing(quality_score=0.9, reliability_score=0.8, cost_per_1k_tokens=0.2)
    metrics = thing(quality_score=0.7, response_time_ms=1600.0)
    parts = evaluated("selection.py.txt", "quality_components", config=config, metrics=metrics, min=min, max=max)
    assert sum(parts.values()) == pytest.approx(
        specified.quality_score(configured=0.9, historical=0.7, reliability=0.8, response_time_ms=1600.0)
    )
    cost = evaluated(
        "selection.py.txt", "estimated_cost", estimated_tokens=specified.estimated_tokens("a" * 400), config=config
    )
    efficiency = evaluated(
        "selection.py.txt", "cost_efficiency", estimated_cost=cost, quality_factor=0.9, performance_factor=0.5
    )
    assert efficiency == pytest.approx(specified.cost_efficiency(estimated_cost=cost, quality=0.9, performance=0.5))


def test_the_circuit_breaker_sketch() -> None:
    """Its windows have the printed lengths, and half-open admits `half_open_max_requests` and no more."""
    theirs = executed("circuit_breaker.py.txt")["ProductionCircuitBreaker"]
    config = plb.BackendInstanceConfig("a", plb.BackendType.LIGHTRAG, "http://x:1", "k", half_open_max_requests=2)
    sketch, ours = theirs(config), plb.ProductionCircuitBreaker(config)
    for window in ("failure_rate_window", "response_time_window"):
        assert getattr(sketch, window).maxlen == getattr(ours, window).maxlen
    sketch.state, sketch.config, sketch.half_open_requests = plb.CircuitBreakerState.HALF_OPEN, config, 0
    assert sketch.should_allow_request() is True
    sketch.half_open_requests = 2
    assert sketch.should_allow_request() is False


def test_the_prometheus_sketch() -> None:
    """Each printed attribute is there, with the printed name and labels."""
    ours = plb.PrometheusMetrics()
    asked: dict[str, tuple[str, list[str]]] = {}

    def metric(name: str, labels: list[str]) -> tuple[str, list[str]]:
        return (name, labels)

    sketch = executed("prometheus.py.txt", Counter=metric, Histogram=metric, Gauge=metric)["PrometheusMetrics"]()
    asked = vars(sketch)
    assert len(asked) == 5
    for attribute, (name, labels) in asked.items():
        family = getattr(ours, attribute)
        assert family.name == name.removesuffix("_total")
        assert list(family._labelnames) == labels


@pytest.mark.parametrize(
    ("block", "name"), [("cost.py.txt", "COST_OPTIMIZATION_CONFIG"), ("quality.py.txt", "QUALITY_CONFIG")]
)
def test_the_documented_values(block: str, name: str) -> None:
    """Everything printed is in ours, with the printed value."""
    theirs = evaluated(block, name)

    def holds(ours: Any, wanted: Any) -> bool:
        if isinstance(wanted, dict):
            return all(key in ours and holds(ours[key], value) for key, value in wanted.items())
        return bool(ours == wanted)

    assert holds(getattr(plb, name), theirs)


def test_the_validation_function() -> None:
    """The printed function and ours say the same of the same wrong backends, in the same words."""
    theirs = executed("validation.py.txt")["validate_backend_config"]
    for fields in ({"weight": 0}, {"weight": -1.0, "quality_score": 1.5}, {"quality_score": -0.1}, {}):
        config = plb.BackendInstanceConfig("a", plb.BackendType.LIGHTRAG, "http://x:1", "key", **fields)
        assert validate_backend_config(config) == theirs(config)


async def test_the_hybrid_router(start: Start, balance: Balance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed class runs over our balancer and routes as ours does, with the flag on and off."""

    class IntelligentQueryRouter:
        async def route_query_with_health_monitoring(self, query: str, context: object) -> dict[str, Any]:
            return {"routing_decision": "lightrag", "confidence": 0.9}

    engine = await start("lightrag")
    new = balance(backend_config("graph", "lightrag", engine))
    flags = dict(PRODUCTION_LB_FEATURES)
    monkeypatch.setattr(migration, "PRODUCTION_LB_FEATURES", flags)
    router = executed(
        "hybrid_router.py.txt", IntelligentQueryRouter=IntelligentQueryRouter, PRODUCTION_LB_FEATURES=flags
    )
    printed, ours = (
        router["HybridQueryRouter"](IntelligentQueryRouter(), new),
        HybridQueryRouter(IntelligentQueryRouter(), new),
    )
    assert await printed.route_query(QUESTION, {}) == tuple(await ours.route_query(QUESTION, {})) == ("graph", 1.0)
    flags["real_api_health_checks"] = False
    assert (await ours.route_query(QUESTION, {})).prediction == await printed.route_query(QUESTION, {})
    assert list(inspect.signature(ours.route_query).parameters) == ["query", "context"]


def test_the_environment_setup(folder: Path) -> None:
    """The file it copies exists, and what was copied is a valid environment."""
    lines = [line for line in snippet("environment_setup.sh").splitlines() if line.startswith("cp ")]
    assert [shlex.split(line) for line in lines] == [["cp", ".env.example", ".env"]]
    shutil.copy(ROOT / ".env.example", folder / ".env")
    backends = {"a": {"backend_type": "lightrag", "endpoint_url": "http://x:1"}}
    assert load({"backend_instances": backends}, environ={}).config.backend_instances["a"].weight == 1.0


def test_every_block_is_run_somewhere() -> None:
    """No block is forgotten; the printed load test result is a claim, not code."""
    here = Path(__file__).read_text() + (Path(__file__).parent / "test_deployment.py").read_text()
    blocks = {file.name for file in SNIPPETS.iterdir()} - {"README.md", "load_test.txt"}
    assert [name for name in sorted(blocks) if f'"{name}"' not in here] == []
