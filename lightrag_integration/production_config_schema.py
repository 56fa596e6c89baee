"""Configuration as specified: validation, the four environments, files, the environment, and changes at run time.

Right where the earlier system was wrong: what is saved loads again; nested files, files without id or api_key, and
${VARIABLE} are read; every factory validates without any key; an unknown ENVIRONMENT is an error, not development; an
update that is not valid changes nothing; unknown fields, bad addresses and mismatched ids are found.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from equipoise.config import ConfigurationError
from equipoise.config.load import load, load_preset
from equipoise.config.presets import PRESETS, VARIABLE, template
from equipoise.config.save import write
from equipoise.core.policies import specified

from ._translation import as_data, backend_as_data, changed, from_equipoise, problem, to_equipoise, to_file
from ._values import (
    COST_OPTIMIZATION_CONFIG,
    QUALITY_CONFIG,
    BackendInstanceConfig,
    BackendType,
    LoadBalancingStrategy,
    ProductionLoadBalancingConfig,
)

__all__ = [
    "COST_OPTIMIZATION_CONFIG", "QUALITY_CONFIG", "BackendInstanceConfig", "BackendType", "ConfigurationError",
    "ConfigurationFactory", "ConfigurationFileHandler", "ConfigurationManager", "ConfigurationValidator",
    "EnvironmentConfigurationBuilder", "LoadBalancingStrategy", "ProductionLoadBalancingConfig",
    "create_default_production_config", "create_multi_instance_config", "generate_configuration_templates",
    "validate_backend_config",
]  # fmt: skip


class ConfigurationValidator:
    """Says everything that is wrong at once."""

    @staticmethod
    def validate_backend_config(config: BackendInstanceConfig) -> list[str]:
        """Everything wrong with one backend, in words; empty when nothing is."""
        return _problems({"backend_instances": {config.id: backend_as_data(config)}}, short=True)

    @staticmethod
    def validate_load_balancing_config(config: ProductionLoadBalancingConfig) -> list[str]:
        """Everything wrong with the whole, each of its backends included."""
        return _problems(as_data(config))

    @classmethod
    def validate_and_raise(cls, config: ProductionLoadBalancingConfig) -> None:
        """Raise ConfigurationError with everything that is wrong, if anything is."""
        to_equipoise(config)


def _problems(data: Mapping[str, Any], *, short: bool = False) -> list[str]:
    try:
        load(data)
    except ConfigurationError as error:
        return [_told(replace(found, path=found.path[2:] if short else found.path)) for found in error.problems]
    return []


def _told(found: Any) -> str:
    """The bare message where it names its field in words, as the specification's do; with the field's path otherwise."""
    speaks = len(found.path) < 2 and found.message[:1].isupper()
    return str(found.message) if speaks else str(replace(found, where=None, hint=None))


def create(environment: str) -> ProductionLoadBalancingConfig:
    """One of development, staging, production, high_availability; raises ConfigurationError for another."""
    return from_equipoise(load_preset(environment, overlaid=False).config)


class ConfigurationFactory:
    """The four environments; addresses and keys come from the process's variables where they are set."""

    create_development_config = staticmethod(partial(create, "development"))
    create_staging_config = staticmethod(partial(create, "staging"))
    create_production_config = staticmethod(partial(create, "production"))
    create_high_availability_config = staticmethod(partial(create, "high_availability"))


class ConfigurationFileHandler:
    """Files; what is written is readable by its owner only, for it may hold keys."""

    @staticmethod
    def load_from_yaml(path: str | Path) -> ProductionLoadBalancingConfig:
        """Read a file, flat or nested, with ${VARIABLE} filled in; raises ConfigurationError with line and column."""
        return from_equipoise(load(Path(path), overlaid=False).config)

    load_from_json = load_from_yaml

    @staticmethod
    def save_to_yaml(config: ProductionLoadBalancingConfig, path: str | Path) -> None:
        """Write a file that loads to the same."""
        write(to_file(config), Path(path))

    @staticmethod
    def save_to_json(config: ProductionLoadBalancingConfig, path: str | Path) -> None:
        """The same as JSON, whatever the name's ending."""
        write(to_file(config), Path(path), form="json")


class EnvironmentConfigurationBuilder:
    """The environment ENVIRONMENT names (development when unset) with every other variable laid over it."""

    @staticmethod
    def build_from_environment() -> ProductionLoadBalancingConfig:
        """Raises ConfigurationError for an unknown ENVIRONMENT and for every value that is not valid."""
        return from_equipoise(load_preset(os.environ.get(VARIABLE) or "development").config)


def generate_configuration_templates(directory: str | Path = "config_templates") -> list[Path]:
    """Write the four environments as YAML files to begin with; returns their paths."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder.joinpath(f"{name}.yaml") for name in PRESETS]
    for path in paths:
        path.write_text(template(path.stem), "utf-8")
    return paths


class ConfigurationManager:
    """A configuration that changes: every change is validated before it is made, so an invalid one changes nothing."""

    def __init__(self, config: ProductionLoadBalancingConfig) -> None:
        self.config = config

    def validate(self) -> bool:
        """Is the whole valid?"""
        return not self.get_validation_errors()

    def get_validation_errors(self) -> list[str]:
        """Everything that is wrong."""
        return ConfigurationValidator.validate_load_balancing_config(self.config)

    def update_backend_config(self, backend_id: str, updates: Mapping[str, Any]) -> None:
        """Change fields of one backend; raises ConfigurationError."""
        self._replace({**self._others(backend_id), backend_id: changed(self._one(backend_id), updates)})

    def add_backend_instance(self, backend_id: str, config: BackendInstanceConfig) -> None:
        """Add a backend; raises ConfigurationError when the id is taken or does not fit."""
        if backend_id in self.config.backend_instances:
            raise problem("there is a backend of this name already", "backend_instances", backend_id)
        self._replace({**self.config.backend_instances, backend_id: config})

    def remove_backend_instance(self, backend_id: str) -> None:
        """Remove a backend; raises ConfigurationError for an unknown one and for the last."""
        self._one(backend_id)
        self._replace(self._others(backend_id))

    def get_backend_summary(self) -> dict[str, Any]:
        """What there is, at a glance."""
        backends = list(self.config.backend_instances.values())
        return {
            "total_backends": len(backends),
            "backend_types": dict(Counter(of.backend_type.value for of in backends)),
            "total_weight": sum(of.weight for of in backends),
            "average_cost_per_1k": specified.mean(of.cost_per_1k_tokens for of in backends),
            "backends": [_summary(of) for of in backends],
        }

    def _one(self, backend_id: str) -> BackendInstanceConfig:
        if backend_id not in self.config.backend_instances:
            raise problem("there is no backend of this name", "backend_instances", backend_id)
        return self.config.backend_instances[backend_id]

    def _others(self, backend_id: str) -> dict[str, BackendInstanceConfig]:
        return {name: of for name, of in self.config.backend_instances.items() if name != backend_id}

    def _replace(self, backends: dict[str, BackendInstanceConfig]) -> None:
        ConfigurationValidator.validate_and_raise(replace(self.config, backend_instances=backends))
        self.config.backend_instances = backends


def _summary(of: BackendInstanceConfig) -> dict[str, Any]:
    told = {"id": of.id, "type": of.backend_type.value, "weight": of.weight, "cost_per_1k": of.cost_per_1k_tokens}
    return {**told, "priority": of.priority, "quality_score": of.quality_score}


validate_backend_config = ConfigurationValidator.validate_backend_config
create_default_production_config = partial(create, "default")
"""One Perplexity account and one LightRAG server on this machine, at the port where LightRAG listens (9621)."""
create_multi_instance_config = partial(create, "multi_instance")
"""Two Perplexity accounts and three LightRAG servers on this machine."""
