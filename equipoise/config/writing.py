"""Setting single values in a configuration file: comments, order and references stay as their author wrote them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

from equipoise.config.backend import BackendConfig
from equipoise.config.changes import is_backend
from equipoise.config.errors import Path as FieldPath
from equipoise.config.load import load
from equipoise.config.nested import BACKEND_SECTIONS, WHOLE_SECTIONS, flat_name
from equipoise.config.save import leaves, plain
from equipoise.config.schema import Config

T = TypeVar("T")
WIDE = 10_000


def with_values(text: str, values: Mapping[FieldPath, Any], *, is_json: bool) -> str:
    """The text of a YAML or JSON file with these values set, each where the file says that field already."""
    if is_json:
        data = json.loads(text)
        _set_all(data, values)
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    yaml = round_trip()
    data = yaml.load(text)
    _set_all(data, values)
    return written(yaml, data)


def round_trip() -> YAML:
    """A reader and writer that changes nothing it was not told to change."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes, yaml.width = True, WIDE
    return yaml


def written(yaml: YAML, data: Any) -> str:
    """The text of round-trip data."""
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def write_back(file: Path, values: Mapping[FieldPath, Any], flags: Mapping[str, Any]) -> dict[FieldPath, str]:
    """Set values in a file, in one step and only if it is valid with them; returns those something overrides, and what.

    Raises OSError, ValueError or ConfigurationError, and then the file is as it was.
    """
    new = with_values(file.read_text("utf-8-sig"), values, is_json=file.suffix == ".json")
    found = write_text(file, new, lambda trial: load(trial, flags=flags))
    said = dict(leaves(plain(found.config, everything=True, secrets=True)))
    return {
        path: found.tree.said(path) for path, value in values.items() if not _holds(found.config, said, path, value)
    }


def _holds(config: Config, said: Mapping[FieldPath, Any], path: FieldPath, value: Any) -> bool:
    """Is this what the configuration says now?"""
    if is_backend(path):
        return (path[1] in config.backend_instances) == (value is not None)
    return bool(said.get(path) == value)


def write_text(file: Path, text: str, examine: Callable[[Path], T]) -> T:
    """Put a text in a file's place in one step, with its mode; a link stays a link. `examine` may refuse it by raising.

    Raises OSError too; the file is then as it was.
    """
    target = file.resolve()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=target.suffix)
    trial = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        found = examine(trial)
        trial.chmod(target.stat().st_mode & 0o777)
        trial.replace(target)
    except BaseException:
        trial.unlink()
        raise
    return found


def _set_all(data: Any, values: Mapping[FieldPath, Any]) -> None:
    for path, value in values.items():
        here = data
        for part in path[:-1]:
            if not isinstance(here.get(part), Mapping):
                here[part] = {}
            here = here[part]
        if is_backend(path):
            _set_backend(here, str(path[1]), value)
            continue
        place, name = _said_at(here, str(path[-1]), in_backend=path[0] == "backend_instances")
        place[name] = value


def _set_backend(backends: Any, name: str, fields: Mapping[str, Any] | None) -> None:
    if fields is None:
        backends.pop(name, None)
    else:
        backends[name] = dict(fields)


def _said_at(here: Any, name: str, *, in_backend: bool) -> tuple[Any, str]:
    """The mapping and key that hold a field; one of the nested form stays nested."""
    sections = BACKEND_SECTIONS if in_backend else WHOLE_SECTIONS
    fields = tuple((BackendConfig if in_backend else Config).model_fields)
    for section in sections if name not in here else ():
        nested = here.get(section)
        for key in nested if isinstance(nested, Mapping) else ():
            if flat_name(section, str(key), fields) == name:
                return nested, str(key)
    return here, name
