"""Reading a configuration: defaults < file < environment < flags, with the origin of every value, all errors at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from equipoise.config import advice
from equipoise.config.changes import Changes, lay_over
from equipoise.config.environment import Environment, add_keys, detect, overlay, read_environment
from equipoise.config.errors import ConfigurationError, Problem
from equipoise.config.files import discover, read
from equipoise.config.interpolate import interpolated
from equipoise.config.keys import held_twice
from equipoise.config.nested import flattened
from equipoise.config.presets import PRESETS, VARIABLE, lay_under
from equipoise.config.rules import broken_rules
from equipoise.config.schema import Config
from equipoise.config.translate import problems_in
from equipoise.config.tree import Tree

Source: TypeAlias = str | Path | Mapping[str, Any] | None
NOTHING_TO_SERVE = """no backend is configured: there is no configuration file, and nothing in the environment names one
  hint: set PERPLEXITY_API_KEY, LIGHTRAG_URL, OPENAI_API_KEY or OPENAI_BASE_URL,
  or write a file with `equipoise init`, or see it work without any of them: `equipoise demo`"""


@dataclass(frozen=True)
class Loaded:
    """A valid configuration, where it and each of its values came from, and what its author should know."""

    config: Config
    tree: Tree
    source: str
    file: Path | None = None
    warnings: tuple[str, ...] = field(default=())


class NothingConfigured(ConfigurationError):
    """There is neither a file nor a variable that names a backend."""

    def __init__(self) -> None:
        super().__init__([Problem((), NOTHING_TO_SERVE)])


def load_config(source: Source | Config = None) -> Config:
    """The configuration in a file, a mapping, or (None) wherever one is found; raises ConfigurationError."""
    return source if isinstance(source, Config) else load(source).config


def load(
    source: Source = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    overlaid: bool = True,
    changes: Changes | None = None,
) -> Loaded:
    """Read a configuration; raises ConfigurationError with everything that is wrong.

    A mapping made in Python is the last word: variables fill its references and missing keys, but override nothing;
    so it is for a file when not `overlaid`. `flags` are dotted fields with the value the command line gave; those that
    are None were not given. `changes` made while a gateway runs come last.
    """
    variables = read_environment(os.environ if environ is None else environ, folder or Path())
    if isinstance(source, Mapping):
        tree, name, file, overlaid = Tree(interpolable(source)), "a mapping", None, False
    else:
        file = Path(source) if source else discover(variables, folder)
        tree, name = (read(file), str(file)) if file else (Tree(), "the environment")
    notes = _layer(tree, variables, detected=file is None, overlaid=overlaid)
    for dotted_name, value in (flags or {}).items():
        if value is not None:
            tree.set(tuple(dotted_name.split(".")), value, f"--{dotted_name.rsplit('.', 1)[-1].replace('_', '-')}")
    notes += lay_over(tree, changes or {})
    add_keys(tree, variables)
    if file is None and not isinstance(source, Mapping) and not tree.data.get("backend_instances"):
        raise NothingConfigured
    config = validated(tree, variables)
    return Loaded(config, tree, name, file, (*notes, *advice.on(config, tree)))


def load_preset(name: str, *, environ: Mapping[str, str] | None = None, overlaid: bool = True) -> Loaded:
    """One of the four environments; with `overlaid`, the variables of the environment are laid over it.

    Raises ConfigurationError for a name that is none of them.
    """
    variables = read_environment(os.environ if environ is None else environ, Path())
    tree = Tree()
    lay_under(tree, name, variables)
    notes = overlay(tree, variables, tuple(Config.model_fields)) if overlaid else []
    add_keys(tree, variables)
    config = validated(tree, variables)
    return Loaded(config, tree, f"the {name} preset", None, (*notes, *advice.on(config, tree)))


def interpolable(source: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose mappings are ordinary ones."""
    return {str(k): interpolable(v) if isinstance(v, Mapping) else v for k, v in source.items()}


def _layer(tree: Tree, environ: Environment, *, detected: bool, overlaid: bool) -> list[str]:
    flattened(tree)
    notes: list[str] = []
    if overlaid:
        if detected:
            detect(tree, environ)
            notes = _named_environment(tree, environ)
        notes += overlay(tree, environ, tuple(Config.model_fields))
    add_keys(tree, environ)
    return notes


def _named_environment(tree: Tree, environ: Environment) -> list[str]:
    """Without a file, ENVIRONMENT says where to begin. Many programs read that variable: a strange value is no error."""
    name = environ.get(VARIABLE, "")
    if name in PRESETS:
        lay_under(tree, name, environ)
    elif name:
        return [f"{environ.place(VARIABLE)}: {name!r} is none of {', '.join(PRESETS)}; it has no effect"]
    return []


def validated(tree: Tree, environ: Mapping[str, str]) -> Config:
    """The configuration this tree holds; raises ConfigurationError with every problem and its place."""
    problems: list[Problem] = []
    tree.data = interpolated(tree.data, environ, problems)
    broken = {problem.path for problem in problems}
    config, refused = _validate(tree.data)
    for problem in (*refused, *broken_rules(tree.data), *(held_twice(config) if config is not None else ())):
        if problem.path not in broken:
            broken.add(problem.path)
            problems.append(problem)
    if problems or config is None:
        raise ConfigurationError(_in_order([p.at(tree.origin(p.path)) for p in problems]))
    return config


def _validate(data: dict[str, Any]) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        return None, problems_in(error)


def _in_order(problems: list[Problem]) -> list[Problem]:
    def place(problem: Problem) -> tuple[str, int, int]:
        file, _, rest = (problem.where or "").partition(":")
        line, _, column = rest.partition(":")
        return file, int(line) if line.isdigit() else 0, int(column) if column.isdigit() else 0

    return sorted(problems, key=place)
