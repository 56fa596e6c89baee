"""Variables of the environment: our own names, the earlier system's, and the backends that keys and URLs imply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from equipoise.config.backend import KEY_VARIABLES
from equipoise.config.errors import Path as FieldPath
from equipoise.config.errors import did_you_mean
from equipoise.config.files import parse_yaml
from equipoise.config.pending import PENDING_VARIABLES
from equipoise.config.secret import Interpolated
from equipoise.config.tree import Tree

PREFIX = "EQUIPOISE_"
ADMIN_KEY = "EQUIPOISE_ADMIN_KEY"
NOT_FIELDS = ("EQUIPOISE_CONFIG", "EQUIPOISE_URL", "EQUIPOISE_ADMIN_URL")
KUBERNETES = ("EQUIPOISE_SERVICE_", "EQUIPOISE_PORT")  # set by Kubernetes when a Service is called equipoise

VARIABLES: dict[str, FieldPath] = {
    "PORT": ("listen", "port"),
    "EQUIPOISE_LOG_LEVEL": ("log", "level"),
    "EQUIPOISE_LOG_FORMAT": ("log", "format"),
    "PRODUCTION_LB_STRATEGY": ("strategy",),
    "ADAPTIVE_LEARNING_ENABLED": ("enable_adaptive_routing",),
    "ENABLE_ADAPTIVE_ROUTING": ("enable_adaptive_routing",),
    "ENABLE_COST_OPTIMIZATION": ("enable_cost_optimization",),
    "ENABLE_QUALITY_ROUTING": ("enable_quality_based_routing",),
    "ROUTING_TIMEOUT_MS": ("routing_decision_timeout_ms",),
    "COST_TARGET": ("cost_optimization_target",),
    "MINIMUM_QUALITY_THRESHOLD": ("minimum_quality_threshold",),
    "QUALITY_THRESHOLD": ("minimum_quality_threshold",),
    "QUALITY_SAMPLING_RATE": ("quality_sampling_rate",),
    "LEARNING_RATE": ("learning_rate",),
    "WEIGHT_ADJUSTMENT_FREQUENCY": ("weight_adjustment_frequency_minutes",),
    "PROMETHEUS_METRICS_ENABLED": ("enable_prometheus_metrics",),
    "GRAFANA_DASHBOARDS_ENABLED": ("enable_grafana_dashboards",),
    "CIRCUIT_BREAKER_ENABLED": ("global_circuit_breaker_enabled",),
    "HEALTH_CHECK_BATCH_SIZE": ("health_check_batch_size",),
    "COST_ALERT_WEBHOOK": ("alerts", "cost_webhook_url"),
    "ALERT_WEBHOOK_URL": ("alert_webhook_url",),
    "ALERT_EMAIL_RECIPIENTS": ("alert_email_recipients",),
    "PROMETHEUS_PUSHGATEWAY_URL": ("metrics", "pushgateway_url"),
    "GRAFANA_API_URL": ("grafana", "api_url"),
    "GRAFANA_API_KEY": ("grafana", "api_key"),
    "ALERT_WEBHOOK_SECRET": ("alerts", "webhook_secret"),
    "ALERT_SMTP_HOST": ("alerts", "email", "host"),
    "ALERT_SMTP_PORT": ("alerts", "email", "port"),
    "ALERT_SMTP_USERNAME": ("alerts", "email", "username"),
    "ALERT_SMTP_PASSWORD": ("alerts", "email", "password"),
    "ALERT_EMAIL_FROM": ("alerts", "email", "sender"),
}
EVERY_BACKEND = {
    "GLOBAL_FAILURE_THRESHOLD": "failure_threshold",
    "GLOBAL_RECOVERY_TIMEOUT": "recovery_timeout_seconds",
    "HEALTH_CHECK_INTERVAL": "health_check_interval_seconds",
    "HEALTH_CHECK_TIMEOUT": "health_check_timeout_seconds",
}
LIGHTRAG_URLS = {
    "LIGHTRAG_SERVICE_URL": "lightrag",
    "LIGHTRAG_URL": "lightrag",
    "LIGHTRAG_PRIMARY_URL": "lightrag_primary",
    "LIGHTRAG_SECONDARY_URL": "lightrag_secondary",
    "LIGHTRAG_TERTIARY_URL": "lightrag_tertiary",
}
PERPLEXITY_KEYS = {
    "PERPLEXITY_API_KEY": "perplexity",
    "PERPLEXITY_API_KEY_PRIMARY": "perplexity_primary",
    "PERPLEXITY_API_KEY_SECONDARY": "perplexity_secondary",
    "PERPLEXITY_API_KEY_1": "perplexity_1",
    "PERPLEXITY_API_KEY_2": "perplexity_2",
    "PERPLEXITY_API_KEY_3": "perplexity_3",
}
OTHERS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "PERPLEXITY_API_URL", "LIGHTRAG_API_KEY")
SERVICE_KEY = "LIGHTRAG_SERVICE_KEY"
BUDGETS = {"DAILY_COST_BUDGET": ("daily", "day"), "HOURLY_COST_BUDGET": ("hourly", "hour")}
"""Variables that set a budget for everybody, in dollars: its name and window."""
EVERY_NAME = (
    *NOT_FIELDS,
    *BUDGETS,
    "EQUIPOISE_API_KEY",
    ADMIN_KEY,
    *VARIABLES,
    *EVERY_BACKEND,
    *LIGHTRAG_URLS,
    *PERPLEXITY_KEYS,
    *OTHERS,
    SERVICE_KEY,
    "ENVIRONMENT",
    *PENDING_VARIABLES,
)


class Environment(Mapping[str, str]):
    """The process's variables over those of a .env file; `place` says which of the two a variable came from."""

    def __init__(self, real: Mapping[str, str], dotenv: Mapping[str, str | None] | None = None) -> None:
        self._real = real
        self._dotenv = {name: value for name, value in (dotenv or {}).items() if value is not None}

    def __getitem__(self, name: str) -> str:
        return self._real[name] if name in self._real else self._dotenv[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._real
        yield from (name for name in self._dotenv if name not in self._real)

    def __len__(self) -> int:
        return len(set(self._real) | set(self._dotenv))

    def place(self, name: str) -> str:
        """The variable's name, with its file when it stands in one."""
        return f"${name}" if name in self._real or name not in self._dotenv else f"${name} (.env)"


def read_environment(real: Mapping[str, str], folder: Path) -> Environment:
    """The process's variables and those of `.env` in the folder."""
    file = folder / ".env"
    if not file.is_file():
        return Environment(real)
    from dotenv import dotenv_values

    return Environment(real, dotenv_values(file))


def detect(tree: Tree, environ: Environment) -> None:
    """Add the backends that keys and URLs in the environment imply."""
    for variable, name in LIGHTRAG_URLS.items():
        if environ.get(variable):
            _add(tree, environ, name, "lightrag", variable, "endpoint_url")
    for variable, name in PERPLEXITY_KEYS.items():
        if environ.get(variable):
            _add(tree, environ, name, "perplexity", variable, "api_key")
            _also(tree, environ, name, "endpoint_url", "PERPLEXITY_API_URL")
    if environ.get("OPENAI_API_KEY"):
        _add(tree, environ, "openai", "openai_direct", "OPENAI_API_KEY", "api_key")
        _also(tree, environ, "openai", "endpoint_url", "OPENAI_BASE_URL")
        _also(tree, environ, "openai", "model", "OPENAI_MODEL")
    elif environ.get("OPENAI_BASE_URL"):
        _add(tree, environ, "local", "local_llm", "OPENAI_BASE_URL", "endpoint_url")
        _also(tree, environ, "local", "model", "OPENAI_MODEL")


def _add(tree: Tree, environ: Environment, name: str, kind: str, variable: str, field: str) -> None:
    place = environ.place(variable)
    tree.set(("backend_instances", name, "backend_type"), kind, place)
    tree.set(("backend_instances", name, field), Interpolated(environ[variable], f"${{{variable}}}"), place)


def _also(tree: Tree, environ: Environment, name: str, field: str, variable: str) -> None:
    if environ.get(variable):
        tree.set(("backend_instances", name, field), environ[variable], environ.place(variable))


def add_keys(tree: Tree, environ: Environment) -> None:
    """Give every backend without a key the one its kind has in the environment."""
    for name, backend in _backends(tree).items():
        if not isinstance(backend, dict) or "api_key" in backend:
            continue
        variable = KEY_VARIABLES.get(str(backend.get("backend_type")), "")
        if variable == "LIGHTRAG_API_KEY" and not environ.get(variable):
            variable = SERVICE_KEY
        if environ.get(variable):
            value = Interpolated(environ[variable], f"${{{variable}}}")
            tree.set(("backend_instances", name, "api_key"), value, environ.place(variable))


def _backends(tree: Tree) -> dict[str, Any]:
    backends = tree.data.get("backend_instances")
    return dict(backends) if isinstance(backends, dict) else {}


def overlay(tree: Tree, environ: Environment, known: tuple[str, ...]) -> list[str]:
    """Lay the variables over the tree; returns a warning for each of our names that means nothing."""
    for variable, path in VARIABLES.items():
        if environ.get(variable):
            tree.set(path, environ[variable], environ.place(variable))
    for variable, field in EVERY_BACKEND.items():
        for name in _backends(tree) if environ.get(variable) else ():
            tree.set(("backend_instances", name, field), environ[variable], environ.place(variable))
    _overlay_budgets(tree, environ)
    if environ.get("EQUIPOISE_API_KEY"):
        value = Interpolated(environ["EQUIPOISE_API_KEY"], "${EQUIPOISE_API_KEY}")
        tree.set(("keys", "environment"), {"key": value}, environ.place("EQUIPOISE_API_KEY"))
    if environ.get(ADMIN_KEY):
        value = Interpolated(environ[ADMIN_KEY], f"${{{ADMIN_KEY}}}")
        tree.set(("listen", "admin_key"), value, environ.place(ADMIN_KEY))
    return [*_own_names(tree, environ, known), *_without_effect(environ)]


def _overlay_budgets(tree: Tree, environ: Environment) -> None:
    for variable, (name, window) in BUDGETS.items():
        if environ.get(variable):
            tree.set(("budgets", name), {"usd": environ[variable], "window": window}, environ.place(variable))


def _own_names(tree: Tree, environ: Environment, known: tuple[str, ...]) -> Iterator[str]:
    handled = (*VARIABLES, *NOT_FIELDS, "EQUIPOISE_API_KEY", ADMIN_KEY)
    for variable in sorted(name for name in environ if name.startswith(PREFIX) and name not in handled):
        words = variable.removeprefix(PREFIX).split("__")
        if words[0].lower() in known:
            if environ[variable]:
                tree.set(tree.spell(words), _value(environ[variable]), environ.place(variable))
        elif not variable.startswith(KUBERNETES):
            hint = did_you_mean(words[0], known)
            yield f"{environ.place(variable)}: is not a field{f' ({hint})' if hint else ''}"


def _without_effect(environ: Environment) -> Iterator[str]:
    for variable, feature in PENDING_VARIABLES.items():
        if environ.get(variable):
            yield f"{environ.place(variable)}: has no effect yet ({feature})"


def _value(text: str) -> Any:
    """Lists and mappings may be written as in YAML; everything else is text that the field understands."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        return parse_yaml(text)
    except ValueError:
        return text
