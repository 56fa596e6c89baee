"""The earlier system's nested form of a backend (circuit_breaker:, health_check:), read as the flat one."""

from __future__ import annotations

from typing import Any

from equipoise.config.backend import BackendConfig
from equipoise.config.schema import Config
from equipoise.config.tree import Tree

BACKEND_SECTIONS = ("circuit_breaker", "health_check", "load_balancing", "monitoring", "cost", "quality", "performance")
WHOLE_SECTIONS = ("load_balancing", "monitoring", "cost_optimization", "quality", "health_check", "adaptive_learning")
UNITS = ("", "_seconds", "_ms", "_minutes", "_hours")


def flattened(tree: Tree) -> None:
    """Move every field of a nested section to the flat field it means; what means none stays, to be refused."""
    _flatten(tree, (), WHOLE_SECTIONS, tuple(Config.model_fields))
    backends = tree.data.get("backend_instances")
    for name in list(backends) if isinstance(backends, dict) else ():
        _flatten(tree, ("backend_instances", name), BACKEND_SECTIONS, tuple(BackendConfig.model_fields))


def _flatten(tree: Tree, path: tuple[str, ...], sections: tuple[str, ...], fields: tuple[str, ...]) -> None:
    here = tree.get(path)
    for section in sections if isinstance(here, dict) else ():
        nested = here.get(section)
        if not isinstance(nested, dict) or section in fields:
            continue
        for key in list(nested):
            _move(tree, (*path, section, key), path, flat_name(section, str(key), fields), here)
        if not nested:
            del here[section]
            tree.origins.pop((*path, section), None)


def _move(tree: Tree, old: tuple[str, ...], path: tuple[str, ...], name: str | None, here: dict[str, Any]) -> None:
    if name is None or name in here:
        return
    value, place = tree.get(old), tree.origins.pop(old, None)
    tree.get(old[:-1]).pop(old[-1])
    here[name] = value
    if place:
        tree.origins[(*path, name)] = place


def flat_name(section: str, key: str, fields: tuple[str, ...]) -> str | None:
    """The flat field that a key in a nested section means: failure_threshold, enabled -> circuit_breaker_enabled."""
    spellings = (f"{stem}{unit}" for stem in (f"{section}_{key}", key) for unit in UNITS)
    return next((spelling for spelling in spellings if spelling in fields), None)
