"""The earlier system's files and variables as our configuration, with a line for everything that changed its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from equipoise.config.earlier import ALGORITHMS, EVERY, FILE_NAMES, NOTED, RETIRED_MODEL, VARIABLES, Meaning
from equipoise.config.environment import EVERY_NAME, Environment, add_keys, detect, overlay
from equipoise.config.errors import ConfigurationError, dotted
from equipoise.config.errors import Path as FieldPath
from equipoise.config.load import load
from equipoise.config.nested import flattened
from equipoise.config.save import leaves, storable, to_yaml
from equipoise.config.schema import Config
from equipoise.config.secret import Interpolated, Secret, masked, names_a_secret, without_secrets
from equipoise.config.tree import Tree

UNKNOWN = "is not a known field"


@dataclass(frozen=True)
class Change:
    """One thing that is said differently: `new` is a dotted field, None when nothing stands for it; `why` for people."""

    old: str
    new: str | None = None
    why: str = ""


@dataclass
class Conversion:
    """Our configuration as plain data for a file, what became of each old name, and what is still wrong."""

    data: dict[str, Any]
    changes: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def yaml(self) -> str:
        """The file."""
        return to_yaml(self.data)


def convert_file(data: Mapping[str, Any], environ: Mapping[str, str]) -> Conversion:
    """Convert what stood in a YAML or JSON file."""
    tree = Tree(deepcopy(dict(data)), {path: dotted(path) for path, _ in leaves(data)})
    found = Conversion(tree.data)
    flattened(tree)
    found.changes += [
        Change(said, dotted(path))
        for path, said in tree.origins.items()
        if tree.get(path) is not None and said != dotted(path)
    ]
    _rename(tree, found)
    _drop_what_is_implied(tree, found)
    return _checked(tree, found, environ)


def convert_variables(environ: Mapping[str, str]) -> Conversion:
    """Convert variables of the environment; those that we read ourselves are taken over too."""
    tree, own = Tree(), Environment(environ)
    found = Conversion(tree.data)
    detect(tree, own)
    for name, meaning in VARIABLES.items():
        if environ.get(name) and meaning.backend:
            _add_backend(tree, meaning, name, environ[name], found)
    overlay(tree, own, tuple(Config.model_fields))
    add_keys(tree, own)
    for name, meaning in VARIABLES.items():
        if environ.get(name) and not meaning.backend:
            _say(tree, meaning, name, environ[name], found)
    found.changes += [Change(f"${name}", None, why) for name, why in NOTED.items() if environ.get(name)]
    found.changes += [Change(f"${name}", None, "is read as it is") for name in EVERY_NAME if environ.get(name)]
    found.changes += _strange(environ)
    tree.data = _escaped(tree.data)
    return _checked(tree, found, environ)


def diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """A unified diff of two configurations as YAML, with every secret masked."""
    old, new = (to_yaml(_masked(data)).splitlines(keepends=True) for data in (before, after))
    return "".join(difflib.unified_diff(old, new, "before", "after"))


def _rename(tree: Tree, found: Conversion) -> None:
    """Names that the earlier routers gave to fields of all backends, or of the whole, in sections of their own or not."""
    for path in _mappings(tree.data)[1:]:
        for name in [name for name in tree.get(path) if name in Config.model_fields and name not in tree.data]:
            _say(tree, Meaning(name, read=_as_it_is), dotted((*path, name)), tree.get(path).pop(name), found)
    for name, meaning in FILE_NAMES.items():
        for path in [path for path in list(_mappings(tree.data)) if name in (tree.get(path) or {})]:
            value = tree.get(path).pop(name)
            _say(tree, meaning, dotted((*path, name)), value, found)
    for path in [path for path in list(_mappings(tree.data)) if path and tree.get(path) == {}]:
        tree.get(path[:-1]).pop(path[-1])


def _as_it_is(value: Any) -> Any:
    return ALGORITHMS.get(value, value) if isinstance(value, str) else value


def _mappings(data: Mapping[str, Any]) -> list[FieldPath]:
    """The whole, and the sections that routers kept their values in."""
    return [
        (),
        *((name,) for name, value in data.items() if isinstance(value, dict) and name not in Config.model_fields),
    ]


def _drop_what_is_implied(tree: Tree, found: Conversion) -> None:
    for name, backend in _backends(tree).items():
        path = f"backend_instances.{name}"
        if str(backend.get("model", "")).startswith(RETIRED_MODEL):
            found.changes.append(
                Change(f"{path}.model", None, f"{backend.pop('model')} was retired in 2025: ours instead")
            )
        if str(backend.get("id", name)) != name:
            found.changes.append(Change(f"{path}.id", path, f"the key is the id; {backend.pop('id')!r} was another"))


def _backends(tree: Tree) -> dict[str, dict[str, Any]]:
    backends = tree.data.get("backend_instances")
    found = backends.items() if isinstance(backends, dict) else ()
    return {name: backend for name, backend in found if isinstance(backend, dict)}


def _add_backend(tree: Tree, meaning: Meaning, variable: str, value: str, found: Conversion) -> None:
    name, kind = meaning.path, meaning.backend
    for path, said in ((("backend_type",), kind), ((meaning.field,), value)):
        tree.set(("backend_instances", name, *path), said, f"${variable}")
    if meaning.field == "api_key":
        tree.set(("backend_instances", name, "api_key"), Secret(value, f"${{{variable}}}"), f"${variable}")
    found.changes.append(Change(f"${variable}", f"backend_instances.{name}.{meaning.field}"))


def _say(tree: Tree, meaning: Meaning, old: str, value: Any, found: Conversion) -> None:
    """Say a value where ours has it; one that cannot be read stays as it is, to be refused with its place."""
    shown = f"${old}" if old.isupper() else old
    said = _valued(meaning.read, value)
    if meaning.secret:
        said = Secret(str(value), f"${{{old}}}" if old.isupper() else None)
    if meaning.path != EVERY:
        tree.set(tuple(meaning.path.split(".")), said, shown)
        found.changes.append(Change(shown, meaning.path, meaning.why))
        return
    for name in _backends(tree):
        if meaning.field not in tree.data["backend_instances"][name] or old.isupper():
            tree.set(("backend_instances", name, meaning.field), said, shown)
    found.changes.append(Change(shown, f"backend_instances.*.{meaning.field}", meaning.why))


def _valued(read: Callable[[str], Any], value: Any) -> Any:
    if isinstance(value, str) and value in ALGORITHMS and read is str:
        return ALGORITHMS[value]
    try:
        return read(value)
    except (TypeError, ValueError):
        return value


def _strange(environ: Mapping[str, str]) -> list[Change]:
    """Variables of the earlier system's kind that no table knows."""
    known = {*VARIABLES, *NOTED, *EVERY_NAME}
    ours = [name for name in sorted(environ) if name.startswith(("PROD_LB_", "ROUTING_")) and name not in known]
    return [Change(f"${name}", None, "is not known and stands for nothing here") for name in ours if environ[name]]


def _checked(tree: Tree, found: Conversion, environ: Mapping[str, str]) -> Conversion:
    """Leave out what is no field of ours, and say what else is wrong. References that cannot be filled are no fault."""
    found.data = _written(tree.data)
    for _ in range(2):
        problems = _problems(found.data, environ)
        unknown = [problem for problem in problems if problem.message == UNKNOWN]
        for problem in unknown:
            here = _at(found.data, problem.path[:-1])
            here.pop(str(problem.path[-1]), None)
            found.changes.append(Change(dotted(problem.path), None, "no field of ours; it is left out"))
        if not unknown:
            break
    found.problems = [str(problem.at(None)) for problem in problems if "is not set" not in problem.message]
    return found


def _problems(data: Mapping[str, Any], environ: Mapping[str, str]) -> list[Any]:
    try:
        load(data, environ=environ)
    except ConfigurationError as error:
        return list(error.problems)
    return []


def _at(data: dict[str, Any], path: FieldPath) -> dict[str, Any]:
    for part in path:
        data = data[str(part)]
    return data


def _escaped(value: Any) -> Any:
    """Values of variables mean themselves: a ${ in them is no reference."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return value if isinstance(value, Interpolated) or not isinstance(value, str) else value.replace("${", "$${")


def _written(value: Any) -> Any:
    """As a file has it: secrets and keys of the environment by reference."""
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, Interpolated):
        return value.reference
    return storable(value) if isinstance(value, Secret) else value


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, name) for item in value]
    if isinstance(value, str):
        hidden = names_a_secret(name) and not value.startswith(("${", "file:"))
        return masked(value) if hidden else without_secrets(value)
    return value
