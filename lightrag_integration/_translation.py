"""From the specified configuration to Equipoise's and back; nothing that was said is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from equipoise.config import BackendConfig, Config, ConfigurationError, Problem, Secret
from equipoise.config.load import load
from equipoise.config.save import storable
from equipoise.config.secret import Interpolated

from ._values import BackendInstanceConfig, BackendType, ProductionLoadBalancingConfig

BACKEND_FIELDS = tuple(of.name for of in fields(BackendInstanceConfig) if of.name != "extra")
WHOLE_FIELDS = tuple(
    of.name for of in fields(ProductionLoadBalancingConfig) if of.name not in ("extra", "backend_instances")
)
SWITCHES = {
    "cost_optimization": "enable_cost_optimization",
    "quality_based_routing": "enable_quality_based_routing",
    "adaptive_learning": "enable_adaptive_routing",
    "circuit_breaker_v2": "global_circuit_breaker_enabled",
    "prometheus_metrics": "enable_prometheus_metrics",
}


def as_data(config: ProductionLoadBalancingConfig) -> dict[str, Any]:
    """The configuration as plain data in the form of a configuration file, secrets included."""
    data = {name: getattr(config, name) for name in WHOLE_FIELDS}
    backends = {name: backend_as_data(of) for name, of in config.backend_instances.items()}
    return {"backend_instances": backends, **data, **config.extra}


def backend_as_data(config: BackendInstanceConfig) -> dict[str, Any]:
    """One backend as plain data; a key that is None is left for the environment to give, a function has no address."""
    absent = {"api_key"} if config.api_key is None else set()
    absent |= {"endpoint_url"} if config.backend_type == BackendType.FUNCTION else set()
    return {**{name: getattr(config, name) for name in BACKEND_FIELDS if name not in absent}, **config.extra}


def to_equipoise(config: ProductionLoadBalancingConfig) -> Config:
    """Equipoise's own configuration, keys taken from the environment where none is given.

    Raises ConfigurationError with everything that is wrong.
    """
    return load(as_data(config)).config


def to_file(config: ProductionLoadBalancingConfig) -> dict[str, Any]:
    """What a file must hold to load to the same: references as they were written, keys that had none in clear."""
    data = as_data(config)
    for backend in data["backend_instances"].values():
        if backend.get("api_key"):
            backend["api_key"] = Secret.parse(backend["api_key"])
    if data["alert_webhook_url"]:
        data["alert_webhook_url"] = Secret.parse(data["alert_webhook_url"])
    stored: dict[str, Any] = storable(data)
    return stored


def from_equipoise(config: Config) -> ProductionLoadBalancingConfig:
    """The specified configuration with what was said; what was not has the specified default, not Equipoise's."""
    said = {name: _value(getattr(config, name)) for name in WHOLE_FIELDS if name in config.model_fields_set}
    known = {*WHOLE_FIELDS, "backend_instances"}
    extra = config.model_dump(include=config.model_fields_set.difference(known), exclude_unset=True)
    backends = {name: backend_from_equipoise(of) for name, of in config.backend_instances.items()}
    return ProductionLoadBalancingConfig(**said, backend_instances=backends, extra=extra)


def backend_from_equipoise(config: BackendConfig) -> BackendInstanceConfig:
    """One backend, likewise."""
    said = {name: _value(getattr(config, name)) for name in BACKEND_FIELDS if name in config.model_fields_set}
    said.setdefault("endpoint_url", "")
    extra = config.model_dump(include=config.model_fields_set.difference(BACKEND_FIELDS), exclude_unset=True)
    return BackendInstanceConfig(**said, extra=extra)


def changed(config: BackendInstanceConfig, updates: Mapping[str, Any]) -> BackendInstanceConfig:
    """A copy with these fields changed; those that only Equipoise knows go into `extra`. Changes nothing itself."""
    own = {name: value for name, value in updates.items() if name in BACKEND_FIELDS}
    more = {name: value for name, value in updates.items() if name not in own and name != "extra"}
    return replace(config, **own, extra={**config.extra, **more, **updates.get("extra", {})})


def with_features(config: ProductionLoadBalancingConfig, features: Mapping[str, bool]) -> ProductionLoadBalancingConfig:
    """The configuration as it is with these features on or off; a feature can switch off, never on what the
    configuration has off. Without `multi_instance_support` only the first backend of each kind is used.
    """
    switched_off = {field: False for name, field in SWITCHES.items() if not features.get(name, True)}
    backends = config.backend_instances
    if not features.get("multi_instance_support", True):
        first: dict[str, str] = {}
        for name, of in backends.items():
            first.setdefault(of.backend_type, name)
        backends = {name: backends[name] for name in first.values()}
    return replace(config, **switched_off, backend_instances=backends)  # type: ignore[arg-type]


def problem(message: str, *path: str) -> ConfigurationError:
    """One thing that is wrong, as the error that says so."""
    return ConfigurationError([Problem(path, message)])


def _value(value: Any) -> Any:
    if isinstance(value, Secret):
        return Interpolated(value.reveal(), value.reference) if value.reference else value.reveal()
    return list(value) if isinstance(value, tuple) else value
