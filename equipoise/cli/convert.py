"""`equipoise config convert`: the earlier system's files and variables as our configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.exits import OK, PROBLEMS, REFUSED, USAGE, Failure
from equipoise.cli.output import document, say, tell

if TYPE_CHECKING:
    from equipoise.config.convert import Conversion


def convert(
    file: Path | None = None,
    /,
    *,
    env: bool = False,
    output: Path | None = None,
    force: bool = False,
    json: bool = False,
) -> int:
    """Print the earlier system's configuration as ours, and to stderr what became of each name, and a diff.

    Exit code 1 when something is left that is not valid. Keys that stand in variables become references to them.

    Parameters
    ----------
    file: Path
        A YAML or JSON file, nested or flat, or an .env file.
    env: bool
        Instead of a file: the variables of the environment.
    output: Path
        Write the result there instead of printing it; readable by its owner only.
    force: bool
        Write over an output that exists.
    json: bool
        Print one JSON document: config, changes, problems.
    """
    if env is (file is not None):
        raise Failure("name a file, or say --env", USAGE)
    before, found = _converted(file)
    _report(before, found)
    if output is not None:
        _save(found, output, force)
    elif json:
        document({"config": found.data, "changes": [vars(one) for one in found.changes], "problems": found.problems})
    else:
        say(found.yaml(), end="")
    return PROBLEMS if found.problems else OK


def _converted(file: Path | None) -> tuple[Mapping[str, Any], Conversion]:
    from equipoise.config.convert import convert_file, convert_variables
    from equipoise.config.errors import ConfigurationError
    from equipoise.config.files import read

    if file is None:
        return {}, convert_variables(os.environ)
    if not file.is_file():
        raise Failure(f"there is no file {file}", USAGE)
    if file.suffix not in (".yaml", ".yml", ".json", ".toml"):
        from dotenv import dotenv_values

        return {}, convert_variables({name: value for name, value in dotenv_values(file).items() if value})
    try:
        data = read(file).data
    except ConfigurationError as error:
        raise Failure(str(error), USAGE) from error
    return data, convert_file(data, os.environ)


def _report(before: Mapping[str, Any], found: Conversion) -> None:
    from equipoise.config.convert import diff

    for change in found.changes:
        new = f" -> {change.new}" if change.new else ""
        tell(f"{change.old}{new}{f' ({change.why})' if change.why else ''}")
    if before:
        tell(diff(before, found.data).rstrip())
    for problem in found.problems:
        tell(f"wrong: {problem}")


def _save(found: Conversion, output: Path, force: bool) -> None:
    from equipoise.config.save import write

    if output.exists() and not force:
        raise Failure(f"{output} exists already", REFUSED, "--force writes over it")
    try:
        write(found.data, output)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}", USAGE) from error
    tell(f"wrote {output}; next: equipoise check -c {output}")
