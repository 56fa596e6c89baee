"""Configuration as specified: validation, factories, environment, files, templates, changes."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from equipoise.config.load import load
from equipoise.config.presets import PRESETS, template
from lightrag_integration.production_config_schema import (
    BackendInstanceConfig,
    BackendType,
    ConfigurationError,
    ConfigurationFactory,
    ConfigurationFileHandler,
    ConfigurationManager,
    ConfigurationValidator,
    EnvironmentConfigurationBuilder,
    LoadBalancingStrategy,
    ProductionLoadBalancingConfig,
    create_default_production_config,
    create_multi_instance_config,
    generate_configuration_templates,
    validate_backend_config,
)
from tests.specified.conftest import ROOT

GOOD = BackendInstanceConfig("a", BackendType.LIGHTRAG, "http://x:9621", "key")
FACTORIES = {
    "development": ConfigurationFactory.create_development_config,
    "staging": ConfigurationFactory.create_staging_config,
    "production": ConfigurationFactory.create_production_config,
    "high_availability": ConfigurationFactory.create_high_availability_config,
}
DIFFERENCES = {
    "development": (False, False, True, False, 100.0, (5, 2), (0.9, 0.6), (0.1, 30)),
    "staging": (True, True, True, True, 75.0, (8, 4), (0.85, 0.7), (0.02, 20)),
    "production": (True, True, True, True, 50.0, (10, 5), (0.8, 0.75), (0.01, 15)),
    "high_availability": (True, True, True, True, 50.0, (15, 8), (0.75, 0.8), (0.005, 30)),
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": 0}, "Weight must be positive"),
        ({"cost_per_1k_tokens": -1}, "Cost per 1k tokens must not be negative"),
        ({"timeout_seconds": 0}, "Timeout must be positive"),
        ({"quality_score": 1.1}, "Quality score must be between 0 and 1"),
        ({"reliability_score": -1}, "Reliability score must be between 0 and 1"),
        ({"failure_threshold": 0}, "Failure threshold must be positive"),
        ({"recovery_timeout_seconds": 0}, "Recovery timeout must be positive"),
        ({"max_requests_per_minute": 0}, "Max requests per minute must be positive"),
        ({"half_open_max_requests": 0}, "Half open max requests must be positive"),
        ({"health_check_interval_seconds": 0}, "Health check interval must be positive"),
        ({"api_key": ""}, "api_key: must not be empty (got '')"),
        ({"endpoint_url": "not a url"}, "endpoint_url: must be a URL such as http://host:9621 (got 'not a url')"),
    ],
)
def test_everything_wrong_with_a_backend_is_said(change: dict[str, object], said: str) -> None:
    """The specification's rules, in its words, and those it forgot."""
    assert validate_backend_config(GOOD) == []
    assert validate_backend_config(replace(GOOD, **change)) == [said]  # type: ignore[arg-type]


def test_a_backend_without_a_name_is_told_so() -> None:
    """As its id, and as the key it would have."""
    assert validate_backend_config(replace(GOOD, id="")) == [
        "is not a name that can be used", "id: must not be empty (got '')",
    ]  # fmt: skip


def test_everything_wrong_with_the_whole_is_said_at_once() -> None:
    """One list, each with its place; the same as one ConfigurationError."""
    wrong = ProductionLoadBalancingConfig(
        backend_instances={"a": replace(GOOD, weight=0), "b": GOOD}, learning_rate=0, routing_decision_timeout_ms=0
    )
    said = ConfigurationValidator.validate_load_balancing_config(wrong)
    assert len(said) == 4
    assert any("backend_instances.b.id: must be equal to the key 'b'" in one for one in said)
    assert "Routing decision timeout must be positive" in said
    with pytest.raises(ConfigurationError) as caught:
        ConfigurationValidator.validate_and_raise(wrong)
    assert len(caught.value.problems) == 4
    assert ConfigurationValidator.validate_load_balancing_config(ProductionLoadBalancingConfig()) == [
        "At least one backend must be configured"
    ]


@pytest.mark.parametrize("name", FACTORIES)
def test_the_four_environments_are_valid_without_any_key(name: str) -> None:
    """With their specified differences."""
    config = FACTORIES[name]()
    assert ConfigurationValidator.validate_load_balancing_config(config) == []
    assert all(of.api_key is None for of in config.backend_instances.values())
    assert (
        config.enable_adaptive_routing,
        config.enable_cost_optimization,
        config.enable_quality_based_routing,
        config.enable_real_time_monitoring,
        config.routing_decision_timeout_ms,
        (config.max_concurrent_health_checks, config.health_check_batch_size),
        (config.cost_optimization_target, config.minimum_quality_threshold),
        (config.learning_rate, config.weight_adjustment_frequency_minutes),
    ) == DIFFERENCES[name]
    learns = name != "development"
    assert (config.strategy is LoadBalancingStrategy.ADAPTIVE_LEARNING) is learns


def test_production_and_high_availability_have_their_specified_fleets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, limits and beliefs as specified; addresses and keys from the environment."""
    monkeypatch.setenv("LIGHTRAG_SECONDARY_URL", "http://second:9621")
    monkeypatch.setenv("PERPLEXITY_API_KEY", "pplx-shared")
    monkeypatch.setenv("PERPLEXITY_API_KEY_PRIMARY", "pplx-first")
    monkeypatch.setenv("ALERT_EMAIL_RECIPIENTS", "")
    config = ConfigurationFactory.create_production_config()
    primary = config.backend_instances["prod_lightrag_primary"]
    assert (primary.weight, primary.max_requests_per_minute, primary.quality_score, primary.timeout_seconds) == (
        2.0, 300, 0.92, 20.0,
    )  # fmt: skip
    assert config.backend_instances["prod_lightrag_secondary"].endpoint_url == "http://second:9621"
    assert config.backend_instances["prod_perplexity_primary"].api_key == "pplx-first"
    assert config.backend_instances["prod_perplexity_secondary"].api_key == "pplx-shared"
    assert config.alert_email_recipients == []
    kinds = [
        of.backend_type.value
        for of in ConfigurationFactory.create_high_availability_config().backend_instances.values()
    ]
    assert (kinds.count("lightrag"), kinds.count("perplexity")) == (5, 3)


def test_the_environment_chooses_and_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENVIRONMENT names the preset; every bad value is an error instead of being ignored."""
    assert len(EnvironmentConfigurationBuilder.build_from_environment().backend_instances) == 2
    monkeypatch.setenv("ENVIRONMENT", "high_availability")
    monkeypatch.setenv("PRODUCTION_LB_STRATEGY", "cost_optimized")
    monkeypatch.setenv("ENABLE_ADAPTIVE_ROUTING", "false")
    monkeypatch.setenv("QUALITY_THRESHOLD", "0.65")
    config = EnvironmentConfigurationBuilder.build_from_environment()
    assert (len(config.backend_instances), config.strategy) == (8, LoadBalancingStrategy.COST_OPTIMIZED)
    assert (config.enable_adaptive_routing, config.minimum_quality_threshold) == (False, 0.65)
    monkeypatch.setenv("PRODUCTION_LB_STRATEGY", "fastest")
    with pytest.raises(ConfigurationError, match=r"\$PRODUCTION_LB_STRATEGY"):
        EnvironmentConfigurationBuilder.build_from_environment()
    monkeypatch.setenv("ENVIRONMENT", "prodution")
    with pytest.raises(ConfigurationError, match="did you mean production"):
        EnvironmentConfigurationBuilder.build_from_environment()


def test_without_a_file_the_gateway_begins_where_environment_says(folder: Path) -> None:
    """The preset's values, its backends only where the environment names none; other programs' values are no error."""
    config = load(environ={"ENVIRONMENT": "staging"}).config
    assert list(config.backend_instances) == list(PRESETS["staging"]["backend_instances"])
    known = load(environ={"ENVIRONMENT": "development", "LIGHTRAG_URL": "http://mine:9621"})
    assert list(known.config.backend_instances) == ["lightrag"]
    assert known.config.routing_decision_timeout_ms == 100.0
    strange = load(environ={"ENVIRONMENT": "ci", "LIGHTRAG_URL": "http://mine:9621"})
    assert any("$ENVIRONMENT: 'ci' is none of" in note for note in strange.warnings)


@pytest.mark.parametrize("make", [*FACTORIES.values(), create_default_production_config, create_multi_instance_config])
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_saved_loads_to_the_same(make: object, form: str, folder: Path) -> None:
    """For the owner's eyes only; every field is written, so the defaults of who reads it do not matter."""
    config = make()  # type: ignore[operator]
    save = getattr(ConfigurationFileHandler, f"save_to_{form}")
    read = getattr(ConfigurationFileHandler, f"load_from_{form}")
    file = folder / f"saved.{form}"
    save(config, file)
    assert read(file) == config
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file, environ={}).config.backend_instances.keys() == config.backend_instances.keys()


def test_a_key_from_a_variable_is_saved_as_its_reference(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read back from wherever it then is; a key that was written is kept, whatever is in it."""
    monkeypatch.setenv("PERPLEXITY_API_KEY", "pplx-secret-1")
    config = create_default_production_config()
    config.backend_instances["lightrag_primary"].api_key = "literal-${x}"
    ConfigurationFileHandler.save_to_yaml(config, folder / "c.yaml")
    text = (folder / "c.yaml").read_text()
    assert "${PERPLEXITY_API_KEY}" in text
    assert "pplx-secret-1" not in text
    monkeypatch.setenv("PERPLEXITY_API_KEY", "pplx-secret-2")
    found = ConfigurationFileHandler.load_from_yaml(folder / "c.yaml").backend_instances
    assert found["perplexity_primary"].api_key == "pplx-secret-2"
    assert found["lightrag_primary"].api_key == "literal-${x}"


def test_fields_of_our_own_survive(folder: Path) -> None:
    """A file that says more than the specification knows loses nothing on the way through."""
    text = """\
backend_instances:
  a: {backend_type: lightrag, endpoint_url: "http://x:1", mode: naive, corpus: papers, extra_body: {top_k: 5}}
routes: {careful: {backends: [a], strategy: quality_based}}
aliases: {gpt-4o: careful}
"""
    (folder / "in.yaml").write_text(text)
    config = ConfigurationFileHandler.load_from_yaml(folder / "in.yaml")
    assert config.backend_instances["a"].extra["mode"] == "naive"
    ConfigurationFileHandler.save_to_json(config, folder / "out.json")
    assert ConfigurationFileHandler.load_from_json(folder / "out.json") == config
    assert json.loads((folder / "out.json").read_text())["aliases"] == {"gpt-4o": "careful"}


def test_the_generated_templates_are_those_in_the_repository(folder: Path) -> None:
    """Written where asked, valid as they stand without any key, and committed as generated."""
    paths = generate_configuration_templates()
    assert [path.name for path in paths] == [f"{name}.yaml" for name in PRESETS]
    for path in paths:
        assert path.read_text() == template(path.stem) == (ROOT / path).read_text()
        assert load(path, environ={}).config.backend_instances


def test_a_manager_validates_before_it_changes_anything() -> None:
    """An invalid update, an id that is taken, an unknown one, the last backend: nothing stays applied."""
    manager = ConfigurationManager(create_default_production_config())
    assert (manager.validate(), manager.get_validation_errors()) == (True, [])
    before = dict(manager.config.backend_instances)
    for wrong in ({"weight": -1}, {"weight": 2, "quality_score": 7}, {"nonsense": 1}):
        with pytest.raises(ConfigurationError):
            manager.update_backend_config("lightrag_primary", wrong)
    for change in (
        lambda: manager.update_backend_config("nobody", {"weight": 1}),
        lambda: manager.add_backend_instance("lightrag_primary", GOOD),
        lambda: manager.add_backend_instance("other", GOOD),
        lambda: manager.remove_backend_instance("nobody"),
    ):
        with pytest.raises(ConfigurationError):
            change()
    assert manager.config.backend_instances == before
    manager.update_backend_config("lightrag_primary", {"weight": 4})
    manager.add_backend_instance("a", GOOD)
    manager.remove_backend_instance("perplexity_primary")
    manager.remove_backend_instance("a")
    with pytest.raises(ConfigurationError, match="At least one backend"):
        manager.remove_backend_instance("lightrag_primary")
    assert manager.config.backend_instances["lightrag_primary"].weight == 4


def test_the_summary_has_its_specified_shape() -> None:
    """Counts, weights and means of the fleet."""
    summary = ConfigurationManager(create_multi_instance_config()).get_backend_summary()
    assert (summary["total_backends"], summary["backend_types"]) == (5, {"perplexity": 2, "lightrag": 3})
    assert (summary["total_weight"], summary["average_cost_per_1k"]) == (6.5, pytest.approx(0.11))
    assert summary["backends"][0].keys() == {"id", "type", "weight", "cost_per_1k", "priority", "quality_score"}
