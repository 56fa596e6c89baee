"""Names that changed, put right in the file: comments, order and values stay."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from equipoise.config.backend import BackendConfig
from equipoise.config.errors import ConfigurationError, Problem, dotted
from equipoise.config.errors import Path as FieldPath
from equipoise.config.load import load
from equipoise.config.nested import BACKEND_SECTIONS, WHOLE_SECTIONS, flat_name
from equipoise.config.schema import Config
from equipoise.config.writing import round_trip, written

UNKNOWN, SUGGESTS = "is not a known field", "did you mean "
MOST_ROUNDS = 50


def fixed(file: Path) -> tuple[str, list[str]]:
    """The text of the file with known names for those that can only mean one thing, and what was renamed.

    Raises OSError, or ConfigurationError if the file holds no data; other mistakes stay for `check` to tell.
    """
    text = file.read_text("utf-8-sig")
    unsure = _problems(file)
    yaml = None if file.suffix == ".json" else round_trip()
    data: Any = json.loads(text) if yaml is None else yaml.load(text)
    done = _flatten(data, (), WHOLE_SECTIONS, tuple(Config.model_fields))
    backends = data.get("backend_instances")
    for name, backend in backends.items() if isinstance(backends, Mapping) else ():
        if isinstance(backend, Mapping):
            path = ("backend_instances", name)
            done += _flatten(backend, path, BACKEND_SECTIONS, tuple(BackendConfig.model_fields))
    done += [line for problem in unsure if (line := _corrected(data, problem))]
    if not done:
        return text, []
    return written(yaml, data) if yaml else json.dumps(data, indent=2, ensure_ascii=False) + "\n", done


def difference(old: str, new: str, name: str) -> str:
    """What would change, as a unified diff."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (fixed)", lineterm="")
    return "\n".join(lines)


def _problems(file: Path) -> tuple[Problem, ...]:
    try:
        load(file)
    except ConfigurationError as error:
        if error.unreadable:
            raise
        return error.problems
    return ()


def _flatten(here: Any, path: FieldPath, sections: tuple[str, ...], fields: tuple[str, ...]) -> list[str]:
    """Move what stands in a nested section of the earlier system beside it."""
    done = []
    for section in [name for name in sections if isinstance(here.get(name), Mapping) and name not in fields]:
        nested = here[section]
        for key in list(nested):
            name = flat_name(section, str(key), fields)
            if name is not None and name not in here:
                at = list(here).index(section)
                _put(here, at, name, nested.pop(key), _comment(nested, key))
                done.append(f"{dotted((*path, section, key))} -> {dotted((*path, name))}")
        if not nested:
            del here[section]
    return done


def _corrected(data: Any, problem: Problem) -> str | None:
    """Rename a misspelt field whose hint names exactly one."""
    hint = problem.hint or ""
    if problem.message != UNKNOWN or not hint.startswith(SUGGESTS) or " or " in hint:
        return None
    new, old, here = hint.removeprefix(SUGGESTS).rstrip("?"), problem.path[-1], data
    for part in problem.path[:-1]:
        here = here[part]
    if new in here or old not in here:
        return None
    at, comment = list(here).index(old), _comment(here, old)
    _put(here, at, new, here.pop(old), comment)
    return f"{dotted(problem.path)} -> {dotted((*problem.path[:-1], new))}"


def _comment(here: Any, key: Any) -> Any:
    return here.ca.items.pop(key, None) if isinstance(here, CommentedMap) else None


def _put(here: Any, at: int, name: str, value: Any, comment: Any) -> None:
    if isinstance(here, CommentedMap):
        here.insert(at, name, value)
        if comment is not None:
            here.ca.items[name] = comment
        return
    rest = [(key, here.pop(key)) for key in list(here)[at:]]
    here[name] = value
    here.update(rest)
