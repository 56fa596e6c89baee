"""What may be changed while a gateway runs: numbers and switches, never addresses, keys or code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from equipoise.config.backend import BackendConfig
from equipoise.config.errors import Path, Problem, did_you_mean, dotted
from equipoise.config.secret import masked, names_a_secret, without_secrets
from equipoise.config.tree import Tree

Changes: TypeAlias = Mapping[Path, Any]
"""Values by path. A backend's own path holds all its fields where it was added, None where it was removed."""
Changing: TypeAlias = dict[Path, Any]
ORIGIN = "changed at run time"
NAMED = ("backend_instances", "routes")
SETTABLE = (
    "backend_instances.*.weight",
    "backend_instances.*.priority",
    "backend_instances.*.drained",
    "backend_instances.*.quality_score",
    "backend_instances.*.reliability_score",
    "backend_instances.*.cost_per_1k_tokens",
    "backend_instances.*.expected_response_time_ms",
    "backend_instances.*.max_requests_per_minute",
    "backend_instances.*.max_concurrent_requests",
    "backend_instances.*.timeout_seconds",
    "backend_instances.*.first_byte_timeout_seconds",
    "backend_instances.*.idle_timeout_seconds",
    "backend_instances.*.circuit_breaker_enabled",
    "backend_instances.*.failure_threshold",
    "backend_instances.*.recovery_timeout_seconds",
    "routes.*.strategy",
    "routes.*.min_quality",
    "routes.*.timeout_seconds",
    "routes.*.explore",
    "routes.*.exploration_floor",
    "routes.*.sticky",
    "exploration_floor",
    "strategy",
    "minimum_quality_threshold",
    "enable_adaptive_routing",
    "enable_cost_optimization",
    "enable_quality_based_routing",
    "global_circuit_breaker_enabled",
    "timeout_seconds",
    "retry.*",
    "log.level",
)


def field_named(name: str) -> Path:
    """The path of a dotted name whose backend or route may hold dots itself. Raises ValueError if it is not settable."""
    first, *rest = name.split(".")
    path: Path = (first, ".".join(rest[:-1]), rest[-1]) if first in NAMED and len(rest) > 1 else (first, *rest)
    if not any(fnmatchcase(dotted(path), pattern) for pattern in SETTABLE):
        short = {pattern.rpartition(".")[2] for pattern in SETTABLE if pattern.startswith(f"{first}.")}
        near = did_you_mean(path[-1], short or SETTABLE)
        raise ValueError(f"{name} cannot be changed at run time{f' ({near})' if near else ''}")
    return path


def brings_code(changes: Changes) -> str | None:
    """The field that would have code or a file of the gateway's machine loaded; None if none would."""
    for path, value in changes.items():
        if (path[-1] == "strategy" and isinstance(value, str) and ":" in value) or _names_a_file(value):
            return dotted(path)
    return None


def lay_over(tree: Tree, changes: Changes) -> Iterator[str]:
    """Lay run-time changes over everything else; a sentence for each whose backend or route is gone."""
    for path, value in changes.items():
        if is_backend(path):
            _replace(tree, path, value)
        elif is_gone(tree.data, path):
            yield f"{dotted(path)}: a change made at run time has nothing to change any more and is dropped"
        else:
            tree.set(path, value, ORIGIN)


def is_gone(data: Mapping[str, Any], path: Path) -> bool:
    """Does the change name a backend or route that there is not?"""
    named = data.get(str(path[0]))
    return not is_backend(path) and path[0] in NAMED and not (isinstance(named, Mapping) and path[1] in named)


def is_backend(path: Path) -> bool:
    """Is it a whole backend that came or went?"""
    return path[0] == "backend_instances" and len(path) == 2


def _replace(tree: Tree, path: Path, fields: Mapping[str, Any] | None) -> None:
    tree.drop(path)
    for name, value in (fields or {}).items():
        tree.set((*path, name), value, ORIGIN)


def brought(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a backend as the admin listener may bring them: neither code nor files of the gateway's machine.

    Raises ValueError.
    """
    if not settings:
        raise ValueError("no field is given")
    for name, value in settings.items():
        if name not in BackendConfig.model_fields or name == "id":
            near = did_you_mean(name, tuple(BackendConfig.model_fields))
            raise ValueError(f"{name} is no field of a backend{f' ({near})' if near else ''}")
        if name in ("function", "ca_file") or (name == "backend_type" and value == "function"):
            raise ValueError(f"{name}: code and files come from the configuration file only")
        if _names_a_file(value):
            raise ValueError(f"{name}: a file of the gateway's machine can be named in its configuration file only")
    return dict(settings)


def _names_a_file(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_names_a_file, value.values()))
    return isinstance(value, str) and value.lstrip().startswith("file:")


def shown_change(path: Path, value: Any) -> Any:
    """A change as it may be shown, without keys."""
    if is_backend(path) and value is None:
        return "removed"
    return _veiled(value, str(path[-1]))


def _veiled(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _veiled(each, "secret" if name == "headers" else str(key)) for key, each in value.items()}
    if not isinstance(value, str):
        return value
    hidden = names_a_secret(name) and not value.startswith("${")
    return masked(value) if hidden else without_secrets(value)


def unknown(path: Path) -> Problem:
    """For a change of what there is not."""
    return Problem(path[:2], "there is nothing of this name")
