"""defaults < file < environment < flags, each value with its origin; and what is found without any file."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.config import ConfigurationError
from equipoise.config import files as config_files
from equipoise.config.load import NothingConfigured, load
from equipoise.config.pending import PENDING_FIELDS, PENDING_VARIABLES
from equipoise.core.model import BackendType, Strategy
from tests.shell.config.conftest import Write, good, told

FILE = "backend_instances:\n  my-rag:\n    backend_type: lightrag\n    endpoint_url: http://x:1\n    weight: 3\nlisten: {port: 5000}\n"
WEIGHT = ("backend_instances", "my-rag", "weight")


def test_a_variable_overrides_the_file_and_a_flag_the_variable(write: Write) -> None:
    """And each says where its value came from."""
    path, environ = write(FILE), {"EQUIPOISE_LISTEN__PORT": "6000"}
    for flags, port, origin in (({}, 6000, "$EQUIPOISE_LISTEN__PORT"), ({"listen.port": 7000}, 7000, "--port")):
        loaded = load(path, environ=environ, flags=flags)
        assert loaded.config.listen.port == port
        assert loaded.tree.said(("listen", "port")) == origin
    assert loaded.tree.said(WEIGHT) == "equipoise.yaml:5:5"
    assert loaded.tree.said(("listen", "host")) == "default"


@pytest.mark.parametrize("name", ["MY_RAG", "my-rag", "My_Rag"])
def test_a_variable_finds_the_backend_whatever_its_case_and_dashes(write: Write, name: str) -> None:
    """Variables can hold no dashes, so names are compared without."""
    loaded = good(FILE, write, {f"EQUIPOISE_BACKEND_INSTANCES__{name}__WEIGHT": "2"})
    assert loaded.config.backend_instances["my-rag"].weight == 2
    assert len(loaded.config.backend_instances) == 1


def test_a_backend_may_come_from_variables_alone(write: Write) -> None:
    """Containers have no files."""
    write("", "unused")
    start = "EQUIPOISE_BACKEND_INSTANCES__RAG__"
    config = load(environ={start + "BACKEND_TYPE": "lightrag", start + "ENDPOINT_URL": "http://x:1"}).config
    assert config.backend_instances["rag"].endpoint_url == "http://x:1"


def test_lists_in_variables_are_written_with_commas_or_brackets(write: Write) -> None:
    """Both are what people try."""
    for text in ("10.0.0.0/8, ::1", "['10.0.0.0/8', '::1']"):
        config = good(FILE, write, {"EQUIPOISE_LISTEN__TRUSTED_PROXIES": text}).config
        assert config.listen.trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("variable", "value", "field", "wanted"),
    [
        ("PRODUCTION_LB_STRATEGY", "weighted", "strategy", Strategy.WEIGHTED),
        ("ENABLE_ADAPTIVE_ROUTING", "false", "enable_adaptive_routing", False),
        ("ENABLE_COST_OPTIMIZATION", "false", "enable_cost_optimization", False),
        ("ENABLE_QUALITY_ROUTING", "0", "enable_quality_based_routing", False),
        ("ROUTING_TIMEOUT_MS", "75", "routing_decision_timeout_ms", 75.0),
        ("COST_TARGET", "0.9", "cost_optimization_target", 0.9),
        ("QUALITY_THRESHOLD", "0.6", "minimum_quality_threshold", 0.6),
        ("LEARNING_RATE", "0.02", "learning_rate", 0.02),
        ("ALERT_EMAIL_RECIPIENTS", "a@x.org, b@x.org", "alert_email_recipients", ("a@x.org", "b@x.org")),
        ("ALERT_EMAIL_RECIPIENTS", "", "alert_email_recipients", ()),
        ("CIRCUIT_BREAKER_ENABLED", "no", "global_circuit_breaker_enabled", False),
        ("HEALTH_CHECK_BATCH_SIZE", "8", "health_check_batch_size", 8),
        ("PROMETHEUS_METRICS_ENABLED", "false", "enable_prometheus_metrics", False),
    ],
)
def test_the_variables_of_the_earlier_system_still_count(
    write: Write, variable: str, value: str, field: str, wanted: object
) -> None:
    """An empty one is none."""
    assert getattr(good(FILE, write, {variable: value}).config, field) == wanted


def test_a_bad_value_of_an_old_variable_is_no_longer_ignored(write: Write) -> None:
    """The earlier system kept its default silently."""
    assert "$PRODUCTION_LB_STRATEGY: strategy: must be one of" in told(FILE, write, {"PRODUCTION_LB_STRATEGY": "best"})


def test_variables_for_every_backend_reach_every_backend(write: Write) -> None:
    """GLOBAL_FAILURE_THRESHOLD and its like."""
    environ = {"GLOBAL_FAILURE_THRESHOLD": "9", "HEALTH_CHECK_INTERVAL": "11"}
    backend = good(FILE, write, environ).config.backend_instances["my-rag"]
    assert (backend.failure_threshold, backend.health_check_interval_seconds) == (9, 11)


def test_a_misspelt_variable_of_ours_is_told_but_not_those_of_kubernetes(write: Write) -> None:
    """A Service called equipoise makes Kubernetes set EQUIPOISE_PORT=tcp://..., which is not meant for us."""
    environ = {
        "EQUIPOISE_STRATEGIE": "x",
        "EQUIPOISE_PORT": "tcp://10.0.0.1:4000",
        "EQUIPOISE_SERVICE_HOST": "10.0.0.1",
    }
    assert good(FILE, write, environ).warnings == ("$EQUIPOISE_STRATEGIE: is not a field (did you mean strategy?)",)


def test_a_field_that_does_nothing_yet_is_told_where_it_is_said(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody relies on it."""
    monkeypatch.setitem(PENDING_FIELDS, "strict_models", "Later")
    monkeypatch.setitem(PENDING_VARIABLES, "SOME_VARIABLE", "Later")
    warnings = good(FILE + "strict_models: true\n", write, {"SOME_VARIABLE": "50"}).warnings
    assert "equipoise.yaml:7:1: strict_models: has no effect yet (Later)" in warnings
    assert "$SOME_VARIABLE: has no effect yet (Later)" in warnings


def test_the_specified_variables_set_the_budgets_for_everybody(write: Write) -> None:
    """Whatever the file says of these two; without either there is no budget."""
    assert good(FILE, write, {}).config.budgets == {}
    found = good(FILE, write, {"DAILY_COST_BUDGET": "50", "HOURLY_COST_BUDGET": "2.5"}).config.budgets
    assert {name: (of.usd, of.window) for name, of in found.items()} == {
        "daily": (50.0, "day"),
        "hourly": (2.5, "hour"),
    }


def test_a_cap_on_traffic_is_told(write: Write) -> None:
    """A limit that somebody copied is the usual reason for slowness nobody understands."""
    text = FILE.replace("weight: 3", "max_requests_per_minute: 100")
    assert (
        "backend_instances.my-rag: at most 100 requests a minute (max_requests_per_minute)"
        in good(text, write).warnings
    )


def test_a_dotenv_file_counts_below_the_real_environment(write: Write) -> None:
    """And its values say that they come from it."""
    write("EQUIPOISE_SEED=1\nLEARNING_RATE=0.5\nPERPLEXITY_API_KEY='pplx-0123456789abcdef'\n", ".env")
    loaded = good(FILE, write, {"EQUIPOISE_SEED": "2"})
    assert (loaded.config.seed, loaded.config.learning_rate) == (2, 0.5)
    assert loaded.tree.said(("learning_rate",)) == "$LEARNING_RATE (.env)"


def test_a_mapping_made_in_python_is_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its references and missing keys are filled from the environment."""
    environ = {"EQUIPOISE_SEED": "2", "PERPLEXITY_API_KEY": "pplx-0123456789abcdef", "WHERE": "http://x:2"}
    made = {
        "seed": 1,
        "backend_instances": {
            "p": {"backend_type": BackendType.PERPLEXITY},
            "l": {"backend_type": "lightrag", "endpoint_url": "${WHERE}"},
        },
    }
    config = load(made, environ=environ).config
    assert config.seed == 1
    assert config.backend_instances["p"].api_key is not None
    assert config.backend_instances["p"].model == "perplexity/sonar"
    assert config.backend_instances["l"].endpoint_url == "http://x:2"


@pytest.mark.parametrize(
    ("environ", "backends"),
    [
        ({"PERPLEXITY_API_KEY": "pplx-0123456789abcdef"}, {"perplexity": ("perplexity", "https://api.perplexity.ai")}),
        ({"LIGHTRAG_URL": "http://r:9621"}, {"lightrag": ("lightrag", "http://r:9621")}),
        ({"OPENAI_API_KEY": "sk-x"}, {"openai": ("openai_direct", "https://api.openai.com/v1")}),
        ({"OPENAI_BASE_URL": "http://o:1/v1"}, {"local": ("local_llm", "http://o:1/v1")}),
        (
            {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://o:1/v1"},
            {"openai": ("openai_direct", "http://o:1/v1")},
        ),
        (
            {"LIGHTRAG_PRIMARY_URL": "http://a:1", "LIGHTRAG_SECONDARY_URL": "http://b:1"},
            {"lightrag_primary": ("lightrag", "http://a:1"), "lightrag_secondary": ("lightrag", "http://b:1")},
        ),
        (
            {"PERPLEXITY_API_KEY_1": "k1", "PERPLEXITY_API_KEY_2": "k2"},
            {f"perplexity_{i}": ("perplexity", "https://api.perplexity.ai") for i in (1, 2)},
        ),
    ],
)
def test_keys_and_urls_in_the_environment_are_backends_when_there_is_no_file(
    write: Write, environ: dict[str, str], backends: dict[str, tuple[str, str]]
) -> None:
    """`equipoise serve` with nothing but a key works."""
    write("", "unused")
    loaded = load(environ=environ)
    found = {b.id: (b.backend_type.value, b.endpoint_url) for b in loaded.config.backend_instances.values()}
    assert found == backends
    assert loaded.source == "the environment"


def test_a_lightrag_key_goes_with_its_url(write: Write) -> None:
    """Both from the environment."""
    write("", "unused")
    config = load(environ={"LIGHTRAG_URL": "http://r:9621", "LIGHTRAG_API_KEY": "secret-of-lightrag"}).config
    key = config.backend_instances["lightrag"].api_key
    assert key is not None
    assert key.reveal() == "secret-of-lightrag"


def test_with_a_file_keys_make_no_further_backends(write: Write) -> None:
    """The file says which there are."""
    assert list(good(FILE, write, {"OPENAI_API_KEY": "sk-x"}).config.backend_instances) == ["my-rag"]


def test_nothing_at_all_says_what_to_set(write: Write) -> None:
    """And that there is a demo that needs nothing."""
    write("", "unused")
    with pytest.raises(NothingConfigured) as caught:
        load(environ={})
    for word in ("PERPLEXITY_API_KEY", "LIGHTRAG_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "equipoise demo"):
        assert word in str(caught.value)


def test_a_key_of_the_environment_is_told_when_it_goes_to_a_stranger(write: Write) -> None:
    """OPENAI_API_KEY at an address that is not OpenAI's is perhaps not meant."""
    text = "backend_instances:\n  g: {backend_type: openai_direct, endpoint_url: 'https://api.groq.com/v1', model: m}\n"
    (warning,) = good(text, write, {"OPENAI_API_KEY": "sk-0123456789abcdefgh"}).warnings
    assert "the key in $OPENAI_API_KEY is sent to api.groq.com" in warning


def test_files_are_found_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$EQUIPOISE_CONFIG, here (yaml, yml, json), pyproject.toml, the user's, the system's."""
    here, home, system = tmp_path / "here", tmp_path / "home", tmp_path / "etc"
    monkeypatch.setattr(config_files, "SYSTEM_DIRECTORY", system)
    named = tmp_path / "named.yaml"
    candidates = [
        named,
        here / "equipoise.yaml",
        here / "equipoise.yml",
        here / "equipoise.json",
        here / "pyproject.toml",
        home / "equipoise" / "equipoise.yaml",
        system / "equipoise.yaml",
    ]
    for path in candidates:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('[tool.equipoise]\nstrategy = "weighted"\n' if path.suffix == ".toml" else "{}")
    for wanted in candidates:
        environ = {"XDG_CONFIG_HOME": str(home)} | ({"EQUIPOISE_CONFIG": str(named)} if wanted == named else {})
        assert config_files.discover(environ, here) == wanted
        wanted.unlink()
    assert config_files.discover({"XDG_CONFIG_HOME": str(home)}, here) is None


def test_a_table_of_pyproject_is_a_configuration(write: Write) -> None:
    """For applications that use us as a library."""
    text = '[tool.equipoise.backend_instances.a]\nbackend_type = "lightrag"\nendpoint_url = "http://x:1"\nwait = 1\n'
    with pytest.raises(ConfigurationError, match=r"pyproject\.toml: backend_instances\.a\.wait: is not a known field"):
        load(write(text, "pyproject.toml"), environ={})


@pytest.mark.parametrize(
    ("routes", "advised"),
    [
        ("", True),
        ("routes: {auto: {backends: [a, b]}}", True),
        ("routes: {auto: {backends: [a], fallback: [b]}}", False),
    ],
)
def test_a_route_over_two_corpora_is_pointed_out(routes: str, advised: bool, write: Write) -> None:
    """Which documents a question is asked of should not be left to chance unawares."""
    holding = "{{backend_type: lightrag, endpoint_url: 'http://x:1', corpus: {corpus}}}"
    backends = "\n".join(
        f"  {name}: {holding.format(corpus=corpus)}" for name, corpus in (("a", "laws"), ("b", "papers"))
    )
    warnings = good(f"backend_instances:\n{backends}\n{routes}", write).warnings
    assert ["laws and papers" in warning for warning in warnings] == [True] * advised
