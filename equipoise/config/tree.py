"""Plain data with the place each value came from; layers are laid over each other leaf by leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.config.errors import Path

DEFAULT = "default"


class Tree:
    """Nested data and, for each path, where it was said: file:line:col, a variable or a flag."""

    def __init__(self, data: Mapping[str, Any] | None = None, origins: Mapping[Path, str] | None = None) -> None:
        self.data: dict[str, Any] = dict(data or {})
        self.origins: dict[Path, str] = dict(origins or {})

    def set(self, path: Path, value: Any, origin: str) -> None:
        """Say a value, over whatever was there; mappings on the way are made as needed."""
        here = self.data
        for part in path[:-1]:
            if not isinstance(here.get(str(part)), dict):
                here[str(part)] = {}
            here = here[str(part)]
        here[str(path[-1])] = value
        self.origins = {known: place for known, place in self.origins.items() if known[: len(path)] != path}
        self.origins[path] = origin

    def drop(self, path: Path) -> None:
        """Unsay what is there, if anything is."""
        around = self.get(path[:-1])
        if isinstance(around, dict):
            around.pop(path[-1], None)
        self.origins = {known: place for known, place in self.origins.items() if known[: len(path)] != path}

    def get(self, path: Path) -> Any:
        """The value at a path, or None."""
        here: Any = self.data
        for part in path:
            here = here.get(part) if isinstance(here, Mapping) else None
        return here

    def spell(self, words: list[str]) -> Path:
        """The path that these words of a variable's name mean: existing keys win, whatever their case and dashes."""
        path: list[str | int] = []
        for word in words:
            here = self.get(tuple(path))
            keys = here if isinstance(here, Mapping) else ()
            path.append(next((key for key in keys if _folded(key) == _folded(word)), word.lower()))
        return tuple(path)

    def origin(self, path: Path) -> str | None:
        """Where this value, or the nearest thing around it, was said."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]]
        return self.origins.get(())

    def said(self, path: Path) -> str:
        """Where exactly this value came from; `default` when nobody said it."""
        place = self.origins.get(path)
        if place is None and isinstance(self.get(path[:-1]), list):
            return self.origin(path) or DEFAULT
        return place or DEFAULT


def _folded(name: object) -> str:
    return str(name).lower().replace("-", "_").replace(".", "_")
