"""What is wrong with a configuration, in the form people and editors can follow: file:line:col: path: message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from equipoise.config.secret import Secret, names_a_secret, without_secrets

Path: TypeAlias = tuple[str | int, ...]
LONGEST_SHOWN = 60
NOTHING = object()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `where` is file:line:col, a variable's name or a flag; `got` the value refused."""

    path: Path
    message: str
    got: Any = NOTHING
    hint: str | None = None
    where: str | None = None

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"  # what was given may be a secret

    def __str__(self) -> str:
        got = "" if self.got is NOTHING else f" (got {shown(self.got, self.path)})"
        line = ": ".join(part for part in (self.where, dotted(self.path), self.message + got) if part)
        return f"{line}\n  hint: {self.hint}" if self.hint else line

    def at(self, where: str | None) -> Problem:
        """The same problem, with its place."""
        return replace(self, where=where)

    def as_dict(self) -> dict[str, str | None]:
        """For --json."""
        got = None if self.got is NOTHING else shown(self.got, self.path)
        return {"where": self.where, "path": dotted(self.path), "message": self.message, "got": got, "hint": self.hint}


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong, `unreadable` if it was no data."""

    def __init__(self, problems: Iterable[Problem], *, unreadable: bool = False) -> None:
        self.problems, self.unreadable = tuple(problems), unreadable
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: Path) -> str:
    """backend_instances.x.weight, keys.2.tenant"""
    return ".".join(str(part) for part in path)


def shown(value: Any, path: Path = ()) -> str:
    """A value as it may be printed: short, and never a secret."""
    if isinstance(value, Secret):
        return str(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return {dict: "a mapping", list: "a list", tuple: "a list"}[type(value)]
    if isinstance(value, str) and any(names_a_secret(str(part)) for part in path[-1:]):
        return str(Secret(value)) if value else "''"
    text = without_secrets(repr(str(value)) if isinstance(value, str) else repr(value))
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """The nearest known names, as a hint."""
    wanted = str(word).lower()
    close = {name: difflib.SequenceMatcher(None, wanted, name).ratio() for name in known}
    best = max(close.values(), default=0.0)
    near = sorted(name for name, ratio in close.items() if ratio >= max(0.6, best - 0.05))[:2]
    return f"did you mean {' or '.join(near)}?" if near else None
