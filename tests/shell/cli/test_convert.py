"""`equipoise config convert`: what ran the earlier system runs this one, and nothing vanishes without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equipoise.config.earlier import NOTED, VARIABLES
from equipoise.config.load import load
from equipoise.config.schema import Config
from tests.shell.cli.conftest import Run

GUIDE = """\
backend_instances:
  graph:
    id: graph
    backend_type: lightrag
    endpoint_url: "http://graph:9621"
    api_key: "${GRAPH_KEY}"
    circuit_breaker: {enabled: true, failure_threshold: 7, recovery_timeout_seconds: 9}
    health_check: {interval_seconds: 4}
    region_hint: eu
  web:
    backend_type: perplexity
    endpoint_url: "https://api.perplexity.ai"
    api_key: pplx-0123456789abcdef
    model: llama-3.1-sonar-small-128k-online
load_balancing: {strategy: weighted}
"""
ROUTER = {
    "backend_instances": {"graph": {"backend_type": "lightrag", "endpoint_url": "http://graph:9621"}},
    "load_balancing_config": {
        "strategy": "response_time",
        "circuit_breaker_threshold": 4,
        "circuit_breaker_timeout": 300,
    },
    "health_check_config": {"health_check_interval": 60},
}
TEMPLATE = {
    "PROD_LB_LIGHTRAG_ENDPOINT": "http://graph:9621",
    "PROD_LB_OPENAI_ENDPOINT": "https://api.openai.com/v1",
    "PROD_LB_CB_FAILURE_THRESHOLD": "4",
    "PROD_LB_MAX_RESPONSE_TIME_MS": "30000",
    "PROD_LB_RATE_LIMIT_RPM": "1000",
    "PROD_LB_PRIMARY_ALGORITHM": "least_connections",
    "PROD_LB_ENABLE_ADAPTIVE": "false",
    "PROD_LB_SLACK_WEBHOOK": "https://hooks.example/T0/secret-token",
    "PROD_LB_TRAFFIC_PERCENT": "25",
    "PROD_LB_DAILY_BUDGET_USD": "100",
    "PROD_LB_SOMETHING_ELSE": "x",
    "ROUTING_LOG_LEVEL": "DEBUG",
    "PERPLEXITY_API": "pplx-0123456789abcdef",
    "LEARNING_RATE": "0.05",
}


def test_a_nested_file_becomes_ours_with_a_word_for_every_change(folder: Path, run: Run) -> None:
    """Moved fields, the retired model, unknown fields; references stay references, and no secret is in the diff."""
    (folder / "old.yaml").write_text(GUIDE)
    ran = run("config", "convert", "old.yaml")
    assert ran.code == 0, ran.err
    (folder / "new.yaml").write_text(ran.out)
    config = load(folder / "new.yaml", environ={"GRAPH_KEY": "g"}).config
    graph, web = config.backend_instances.values()
    assert (graph.failure_threshold, graph.recovery_timeout_seconds, graph.health_check_interval_seconds) == (7, 9, 4)
    assert (graph.api_key is not None and graph.api_key.reveal(), web.model) == ("g", "perplexity/sonar")
    assert config.strategy.value == "weighted"
    for line in (
        "backend_instances.graph.circuit_breaker.failure_threshold -> backend_instances.graph.failure_threshold",
        "backend_instances.graph.region_hint (no field of ours; it is left out)",
        "load_balancing.strategy -> strategy",
        "-      failure_threshold: 7",
        "+    failure_threshold: 7",
    ):
        assert line in ran.err
    assert "llama-3.1-sonar-small-128k-online was retired" in ran.err
    assert "pplx-0123456789abcdef" not in ran.err
    assert "${GRAPH_KEY}" in ran.out


def test_the_earlier_routers_values_become_fields(folder: Path, run: Run) -> None:
    """Its algorithms are the nearest strategies, its thresholds belong to every backend."""
    (folder / "router.json").write_text(json.dumps(ROUTER))
    ran = run("config", "convert", "router.json", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["config"]["strategy"] == "performance_based"
    graph = told["config"]["backend_instances"]["graph"]
    assert (graph["failure_threshold"], graph["recovery_timeout_seconds"]) == (4, 300)
    assert graph["health_check_interval_seconds"] == 60
    assert told["config"].keys() == {"backend_instances", "strategy"}


def test_variables_become_a_file_with_references_to_keys(
    folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no field is told with what stands for it; the result is valid and holds no key."""
    for name, value in TEMPLATE.items():
        monkeypatch.setenv(name, value)
    ran = run("config", "convert", "--env", "--output", "new.yaml")
    assert ran.code == 0, ran.err
    text = (folder / "new.yaml").read_text()
    assert "pplx-0123456789abcdef" not in text + ran.err
    assert "secret-token" not in text + ran.err
    config = load(folder / "new.yaml").config
    assert list(config.backend_instances) == ["lightrag", "openai", "perplexity"]
    graph, _, web = config.backend_instances.values()
    assert (graph.failure_threshold, graph.timeout_seconds, graph.max_requests_per_minute) == (4, 30.0, 1000)
    assert web.api_key is not None
    assert web.api_key.reveal() == TEMPLATE["PERPLEXITY_API"]
    assert (config.strategy.value, config.enable_adaptive_routing, config.log.level) == (
        "performance_based",
        False,
        "debug",
    )
    assert config.learning_rate == 0.05
    for line in (
        "$PROD_LB_TRAFFIC_PERCENT (the share",
        "$PROD_LB_DAILY_BUDGET_USD (waits",
        "$PROD_LB_SOMETHING_ELSE (is not known",
    ):
        assert line in ran.err
    assert run("config", "convert", "--env", "--output", "new.yaml").code == 4


def test_an_env_file_is_read_as_variables(folder: Path, run: Run) -> None:
    """The earlier system's template, filled in."""
    (folder / "production.env").write_text("".join(f"{name}={value}\n" for name, value in TEMPLATE.items()))
    ran = run("config", "convert", "production.env")
    assert (ran.code, "max_requests_per_minute: 1000" in ran.out) == (0, True), ran.err


def test_what_is_still_wrong_is_told(folder: Path, run: Run) -> None:
    """Exit code 1; a command line that makes no sense is 2."""
    (folder / "old.yaml").write_text("backend_instances:\n  a: {backend_type: lightrag, weight: -1}\n")
    ran = run("config", "convert", "old.yaml")
    assert (ran.code, "Weight must be positive" in ran.err, "endpoint_url: is required" in ran.err) == (1, True, True)
    assert run("config", "convert").code == 2
    assert run("config", "convert", "nowhere.yaml").code == 2


def test_the_tables_name_fields_that_exist() -> None:
    """And no variable is both a field and a remark."""
    for name, meaning in VARIABLES.items():
        first = meaning.path.split(".")[0]
        assert meaning.backend or meaning.path == "*" or first in Config.model_fields, name
    assert not VARIABLES.keys() & NOTED.keys()
