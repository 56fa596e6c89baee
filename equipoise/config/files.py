"""Configuration files: YAML, JSON or a table of pyproject.toml, read with the line and column of every value."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarfloat import ScalarFloat

from equipoise.config.errors import ConfigurationError, Problem
from equipoise.config.errors import Path as FieldPath
from equipoise.config.secret import without_secrets
from equipoise.config.tree import Tree

LONGEST_FILE = 1024 * 1024
MOST_VALUES = 100_000
NAMES = ("equipoise.yaml", "equipoise.yml", "equipoise.json")
SYSTEM_DIRECTORY = Path("/etc/equipoise")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def discover(environ: Mapping[str, str], here: Path | None = None) -> Path | None:
    """The file that counts when none is named: $EQUIPOISE_CONFIG, here, pyproject.toml, the user's, the system's."""
    if environ.get("EQUIPOISE_CONFIG"):
        return Path(environ["EQUIPOISE_CONFIG"]).expanduser()
    here = here or Path()
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config")
    for folder in (here, home / "equipoise", SYSTEM_DIRECTORY):
        found = next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if found is None and folder == here and _has_table(here / "pyproject.toml"):
            found = here / "pyproject.toml"
        if found:
            return found
    return None


def read(path: Path) -> Tree:
    """The data in a file and where each value stands; raises ConfigurationError (unreadable) when it holds no data."""
    text = _text(path)
    data = _parse(text, path)
    if data is None:
        raise _unreadable(path, "the file is empty", hint="`equipoise init` writes an example")
    if not isinstance(data, Mapping):
        raise _unreadable(path, "must be a mapping of fields, such as backend_instances:")
    plain = _plain(data, [0], path)  # before the places: it counts, and refuses what is too much
    return Tree(plain, dict(_places(data, (), str(path))) or {(): str(path)})


def parse_yaml(text: str) -> Any:
    """The value of one YAML text (a list or mapping in a variable); raises ValueError, which repeats none of its words."""
    try:
        return _plain(_loaded(text), [0], None)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(_words(error) + place) from None
    except YAMLError as error:
        raise ValueError("is not valid YAML: " + _unquoted(str(error))) from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise _unreadable(path, f"the file is longer than {LONGEST_FILE} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}", "`equipoise init` writes an example") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "is not UTF-8 text") from error


def _parse(text: str, path: Path) -> Any:
    if path.suffix == ".toml":
        return _toml(text, path)
    if path.suffix == ".json":
        _check_json(text, path)
    try:
        return _loaded(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise _unreadable(place, _words(error), _quoting(text, mark.line) if mark else None) from error
    except YAMLError as error:
        raise _unreadable(path, "is not valid YAML: " + _unquoted(str(error))) from error


def _loaded(text: str) -> Any:
    """What YAML makes of a text; raises YAMLError, also for what ruamel's constructors stumble over."""
    try:
        return YAML(typ="rt").load(StringIO(text))
    except RecursionError as error:
        raise YAMLError("it is nested too deeply") from error
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        raise YAMLError("a value is not of the kind that its tag or its form says") from error


def _words(error: MarkedYAMLError) -> str:
    return f"is not valid YAML: {_unquoted(str(error.problem or 'is not valid'))}"


def _unquoted(problem: str) -> str:
    """What is wrong, without the operator's own words, which may be a key: of a duplicate only its name."""
    what, duplicate, _ = problem.splitlines()[0].partition(" with value ")
    return without_secrets(what if duplicate else _QUOTED.sub(_sign, what))


def _sign(quoted: re.Match[str]) -> str:
    """Single signs and <stream end> are YAML's own."""
    return quoted[0] if len(quoted[0]) <= len("'x'") or quoted[0][1] == "<" else "…"


def _quoting(text: str, line: int) -> str | None:
    """Inside {…} a bare ${NAME} begins another mapping."""
    here = text.splitlines()[line : line + 1]
    return 'inside {…} a reference wants quotes: "${NAME}"' if here and "${" in here[0] else None


def _check_json(text: str, path: Path) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(f"{path}:{error.lineno}:{error.colno}", f"is not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise _unreadable(path, "is nested too deeply") from error


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text).get("tool", {}).get("equipoise")
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"is not valid TOML: {error}") from error


def _has_table(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK) and "[tool.equipoise" in path.read_text("utf-8", "replace")


def _unreadable(place: Path | str, message: str, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError([Problem((), message, hint=hint, where=str(place))], unreadable=True)


def _places(data: Any, path: FieldPath, file: str) -> Iterator[tuple[FieldPath, str]]:
    if isinstance(data, CommentedMap):
        keys: list[Any] = list(data)
        for key in keys:
            line, column = data.lc.key(key) if key in (data.lc.data or {}) else (data.lc.line, data.lc.col)
            yield (*path, str(key)), f"{file}:{line + 1}:{column + 1}"
            yield from _places(data[key], (*path, str(key)), file)
    elif isinstance(data, CommentedSeq):
        for index, item in enumerate(data):
            line, column = data.lc.item(index)
            yield (*path, index), f"{file}:{line + 1}:{column + 1}"
            yield from _places(item, (*path, index), file)


def _plain(data: Any, count: list[int], path: Path | None) -> Any:
    """Ordinary dicts, lists, texts and numbers; counted, so that aliases of aliases cannot fill the memory."""
    count[0] += 1
    if count[0] > MOST_VALUES:
        raise _unreadable(path or "", f"holds more than {MOST_VALUES} values")
    if isinstance(data, Mapping):
        return {str(key): _plain(value, count, path) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value, count, path) for value in data]
    for kind in (bool, int, str):
        if isinstance(data, kind):
            return kind(data)
    return float(data) if isinstance(data, ScalarFloat) else data
