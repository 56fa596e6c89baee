"""Writing a configuration: as a file that loads to the same, as a redacted document, as JSON Schema, as one hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from equipoise.config.backend import BackendConfig, implied
from equipoise.config.errors import Path as FieldPath
from equipoise.config.schema import Config
from equipoise.config.secret import Secret, veiled

FREE = "extra_body"
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


def plain(config: Config, *, everything: bool = False, secrets: bool = False) -> dict[str, Any]:
    """The configuration as plain data: what differs from the defaults, or everything. Secrets are masked.

    With `secrets` it is what a file must hold to load to the same: references as the operator wrote them, keys that had
    none in clear.
    """
    data = dict(_plain(config.model_dump(exclude_defaults=not everything), secrets))
    data["backend_instances"] = {
        name: _plain(_backend(backend, everything), secrets) for name, backend in config.backend_instances.items()
    }
    return data


def _backend(backend: BackendConfig, everything: bool) -> dict[str, Any]:
    """The id is the key. What the kind implies is always written: its absence would mean something else."""
    known = {"backend_type": backend.backend_type.value, "api": backend.api, "endpoint_url": backend.endpoint_url}
    implied_fields = implied(known)
    wanted = {"backend_type", *implied_fields, *backend.model_dump(exclude_defaults=not everything)} - {"id"}
    return {name: value for name, value in backend.model_dump().items() if name in wanted}


def _plain(value: Any, secrets: bool) -> Any:
    if isinstance(value, Secret):
        return _written(value) if secrets else str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item if secrets or key != FREE else veiled(item), secrets) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [_plain(item, secrets) for item in value]
    return value.replace("${", "$${") if secrets and isinstance(value, str) else value


def _written(secret: Secret) -> str:
    return secret.reference or secret.reveal().replace("${", "$${")


def to_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML."""
    out = StringIO()
    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.dump(dict(data), out)
    return out.getvalue()


def yaml_of(data: Any) -> str:
    """Any plain data as YAML."""
    out = StringIO()
    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.dump(json.loads(json.dumps(data, default=str)), out)
    return out.getvalue()


def save(config: Config, path: Path) -> None:
    """Write a file that loads to the same configuration, readable by its owner only: it may hold keys."""
    write(plain(config, secrets=True), path)


def storable(value: Any) -> Any:
    """A value as a file must hold it: names of enumerations, references of secrets, `${` escaped."""
    return _plain(value, secrets=True)


def write(data: Mapping[str, Any], path: Path, form: str | None = None) -> None:
    """Write plain data as YAML, or as JSON where `form` or else the path says so; readable by its owner only."""
    text = (
        json.dumps(data, indent=2, ensure_ascii=False) + "\n" if (form or path.suffix[1:]) == "json" else to_yaml(data)
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def leaves(data: Mapping[str, Any], path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Every single value with its path; empty mappings and lists are values."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def config_hash(config: Config) -> str:
    """Twelve hexadecimal digits that change when anything but a secret does."""
    text = json.dumps(plain(config, everything=True), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
"""What pydantic writes of a bound behind a validator of ours, and JSON Schema's own words."""


def json_schema() -> dict[str, Any]:
    """JSON Schema of a configuration file, for editors; a backend's id is its key."""
    schema = _with_bounds(Config.model_json_schema(mode="validation"))
    schema["$defs"]["BackendConfig"]["required"] = ["backend_type"]
    return {"$schema": SCHEMA_ID, "title": "Equipoise configuration", **schema}


def _with_bounds(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_bounds(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    bounded = schema.get("type") in ("integer", "number")
    return {(BOUNDS.get(key, key) if bounded else key): _with_bounds(value) for key, value in schema.items()}
