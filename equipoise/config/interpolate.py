"""${VARIABLE} and ${VARIABLE:-default} in values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from equipoise.config.errors import Path, Problem
from equipoise.config.secret import Interpolated

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


def interpolated(data: Any, environ: Mapping[str, str], problems: list[Problem], path: Path = ()) -> Any:
    """The data with every reference filled in; `$${` stays `${`. What cannot be filled in becomes a problem."""
    if isinstance(data, dict):
        return {key: interpolated(value, environ, problems, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [interpolated(value, environ, problems, (*path, index)) for index, value in enumerate(data)]
    if isinstance(data, str) and "${" in data:
        return _fill(data, environ, problems, path)
    return data


def _fill(text: str, environ: Mapping[str, str], problems: list[Problem], path: Path) -> str:
    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        if name is None:
            if found.group() == "${":
                problems.append(
                    Problem(path, "holds a ${ that is no ${VARIABLE}", hint="write $${ for the text itself")
                )
            return "${"
        if environ.get(name):
            return environ[name]
        if default is None:
            hint = f"set it, or give a default: ${{{name}:-...}}"
            problems.append(Problem(path, f"the environment variable {name} is not set", hint=hint))
        return default or ""

    return Interpolated(_REFERENCE.sub(value, text), text)
