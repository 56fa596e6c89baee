"""What no single field can see: names that must exist, fields that only one kind of backend has.

The rules look at plain data, of whatever wrong type, so that they are told together with the errors of the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from equipoise.config.data_classes import unanswerable
from equipoise.config.errors import NOTHING, Path, Problem, did_you_mean
from equipoise.config.strategies import broken_options, own_strategies
from equipoise.core.model import BackendType, Strategy

AUTO_NAMES = ("auto", "auto:cheap", "auto:fast", "auto:best")
STRATEGIES = tuple(strategy.value for strategy in Strategy)
KINDS = {
    "preset": ("perplexity",),
    "api": ("perplexity",),
    "mode": ("lightrag",),
    "deep_probe": ("lightrag",),
    "llm_via": ("lightrag",),
    "function": ("function",),
}
NEEDED = {"lightrag": "endpoint_url", "local_llm": "endpoint_url", "function": "function"}
NEEDED_HINTS = {
    "lightrag": "a LightRAG server listens on http://127.0.0.1:9621 by default",
    "local_llm": "for example http://127.0.0.1:11434/v1 (Ollama) or http://127.0.0.1:8000/v1 (vLLM)",
    "function": "for example my_module:answer",
}


def broken_rules(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything about this data that no single field can see."""
    backends = _mapping(data.get("backend_instances"))
    yield from _at_least_one(data)
    for name, backend in backends.items():
        yield from _backend(str(name), _mapping(backend))
    yield from _names(data, tuple(map(str, backends)))
    yield from broken_options(data)
    yield from _inner_routes(data)
    yield from unanswerable(data)
    if data.get("migration") and "incumbent" in backends:
        yield Problem(("backend_instances", "incumbent"), "this is the old side's name while there is a migration")
    yield from _switches(data)
    if _mapping(data.get("cache")).get("redis") and not _mapping(data.get("shared")).get("redis"):
        yield Problem(("cache", "redis"), "there is no Redis to keep answers in: name one in shared.redis")
    judge = _mapping(_mapping(data.get("quality")).get("judge")).get("backend")
    if judge is not None:
        yield from _unknown(("quality", "judge", "backend"), judge, tuple(map(str, backends)), "backend", listed=False)
    default = _mapping(data.get("ledger")).get("default_backend")
    if default is not None:
        yield from _unknown(("ledger", "default_backend"), default, tuple(map(str, backends)), "backend", listed=False)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _at_least_one(data: Mapping[str, Any]) -> Iterator[Problem]:
    backends = data.get("backend_instances", NOTHING)
    if isinstance(backends, Mapping) and not backends:
        yield Problem(("backend_instances",), "At least one backend must be configured")


def _backend(name: str, backend: Mapping[str, Any]) -> Iterator[Problem]:
    path, kind = ("backend_instances", name), str(backend.get("backend_type"))
    if backend.get("id", name) != name:
        hint = "leave id out: the key is the id"
        yield Problem((*path, "id"), f"must be equal to the key {name!r}", backend["id"], hint)
    if name in (*AUTO_NAMES, *STRATEGIES):
        yield Problem(path, "a backend cannot be named like a route or a strategy")
    if kind not in tuple(BackendType):
        return
    needed = NEEDED.get(kind)
    if needed and not backend.get(needed):
        yield Problem((*path, needed), f"is required for backend_type {kind}", hint=NEEDED_HINTS[kind])
    for field in backend.keys() & KINDS.keys():
        if kind not in KINDS[field]:
            yield Problem((*path, field), f"is only for backend_type {KINDS[field][0]}, this one is {kind}")


def _names(data: Mapping[str, Any], backends: tuple[str, ...]) -> Iterator[Problem]:
    routes, aliases = _mapping(data.get("routes")), _mapping(data.get("aliases"))
    targets = (*AUTO_NAMES, *map(str, routes), *STRATEGIES, *own_strategies(data), *backends)
    for name, route in routes.items():
        path, said = ("routes", str(name)), _mapping(route)
        if name in STRATEGIES or name in backends:
            yield Problem(path, "a route cannot be named like a strategy or a backend")
        yield from _unknown((*path, "backends"), said.get("backends"), backends, "backend")
        yield from _unknown(
            (*path, "fallback"), said.get("fallback"), (*backends, *map(str, routes)), "backend or route"
        )
        if name in _texts(said.get("fallback")):
            yield Problem((*path, "fallback"), "a route cannot fall back to itself")
    for name, key in _mapping(data.get("keys")).items():
        said = _mapping(key)
        allowed = (*backends, "auto", *map(str, routes))
        yield from _unknown(("keys", str(name), "routes"), said.get("routes"), allowed, "route or backend", empty=True)
        known = (*STRATEGIES, *own_strategies(data))
        yield from _unknown(("keys", str(name), "strategies"), said.get("strategies"), known, "strategy")
    for alias, target in aliases.items():
        yield from _unknown(("aliases", str(alias)), target, targets, "route, strategy or backend", listed=False)
        if alias in targets:
            yield Problem(("aliases", str(alias)), "this name is already a route, strategy or backend")


def _inner_routes(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A route for a graph's own questions is there, is one graph's alone, and does not lead back to a graph."""
    backends, routes = _mapping(data.get("backend_instances")), _mapping(data.get("routes"))
    graphs = {str(name) for name, of in backends.items() if str(_mapping(of).get("backend_type")) == "lightrag"}
    taken: dict[str, str] = {}
    for name, backend in backends.items():
        path = ("backend_instances", str(name), "llm_via")
        said = _mapping(backend).get("llm_via")
        yield from _unknown(path, said, tuple(map(str, routes)), "route")
        for route in _texts(said):
            asked = set(_texts(_mapping(routes.get(route)).get("backends")) or backends)
            asked |= set(_texts(_mapping(routes.get(route)).get("fallback")))
            if asked & graphs:
                yield Problem(path, f"the route {route} leads to a graph again", hint="give it `backends:` without one")
            if taken.setdefault(route, str(name)) != str(name):
                yield Problem(path, f"the route {route} is that of {taken[route]} already")


def _texts(value: Any) -> list[str]:
    texts = value.split(",") if isinstance(value, str) else value
    return [str(text).strip() for text in texts] if isinstance(texts, list | tuple) else []


def _unknown(
    path: tuple[str, ...], names: Any, known: tuple[str, ...], what: str, *, listed: bool = True, empty: bool = False
) -> Iterator[Problem]:
    if listed and not empty and isinstance(names, list | tuple) and not names:
        yield Problem(path, "must not be empty", hint="leave it out")
    for index, name in enumerate(_texts(names) if listed else [str(names)]):
        if name not in known:
            place: Path = (*path, index) if isinstance(names, list | tuple) else path
            yield Problem(place, f"there is no {what} of this name", name, did_you_mean(name, known))


def _switches(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The specification's conditional rules: a switch that is on (the default) needs a value it can work with."""
    for switch, field, title in (
        ("enable_cost_optimization", "cost_optimization_target", "Cost optimization target"),
        ("enable_adaptive_routing", "learning_rate", "Learning rate"),
    ):
        if not _off(data.get(switch)) and data.get(field) in (0, "0"):
            message = f"{title} must be above 0 and at most 1 while {switch} is on"
            yield Problem((field,), message, data[field])


def _off(value: Any) -> bool:
    return str(value).lower() in ("false", "0", "no", "off")
