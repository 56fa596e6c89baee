"""Names of data classes, and the rules that no single field can see: somebody must be allowed what questions hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from equipoise.config.errors import Path, Problem
from equipoise.core.data_classes import NAME


def _names(value: Any) -> Any:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return value
    return tuple(part.strip().lower() for part in parts if part.strip())


DataClass = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
DataClasses = Annotated[
    tuple[DataClass, ...], BeforeValidator(_names, json_schema_input_type=tuple[DataClass, ...] | str)
]
"""One name, several separated by commas, or a list; in small letters."""


def unanswerable(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys and routes whose questions no backend could be shown."""
    backends = _mapping(data.get("backend_instances"))
    allowed = {str(name): _classes(of, "allows") for name, of in backends.items()}
    for name, key in _mapping(data.get("keys")).items():
        yield from _nobody(("keys", str(name), "data_class"), _classes(key, "data_class"), allowed.values())
    for name, route in _mapping(data.get("routes")).items():
        path = ("routes", str(name), "data_class")
        asked = _asked(_mapping(route), allowed)
        yield from _nobody(path, _classes(route, "data_class"), asked)
        for graph, of in backends.items():
            if str(name) in (_names(_mapping(of).get("llm_via")) or ()):
                yield from _nobody(("backend_instances", str(graph), "llm_via"), allowed[str(graph)], asked)


def _asked(route: Mapping[str, Any], allowed: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    named = _names(route.get("backends"))
    return [allowed[name] for name in named if name in allowed] if isinstance(named, tuple) else list(allowed.values())


def _nobody(path: Path, classes: frozenset[str], allowed: Iterable[frozenset[str]]) -> Iterator[Problem]:
    if classes and not any(classes <= each for each in allowed):
        hint = f"put {', '.join(sorted(classes))} into `allows` of one that may see it"
        yield Problem(path, f"no backend here allows {', '.join(sorted(classes))}: nobody could answer", hint=hint)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _classes(of: Any, field: str) -> frozenset[str]:
    names = _names(_mapping(of).get(field))
    return frozenset(names) if isinstance(names, tuple) else frozenset()
