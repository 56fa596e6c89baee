"""A code for every kind of mistake, and what there is to know about it: `equipoise check --explain CODE`."""

from __future__ import annotations

import re
from typing import NamedTuple

from equipoise.config.errors import Problem


class Kind(NamedTuple):
    """`pattern` finds the problems of this kind by their message."""

    code: str
    pattern: str
    title: str
    text: str


KINDS = (
    Kind(
        "CFG001",
        r"cannot be read|is not valid (YAML|JSON|TOML)|is not UTF-8|the file|holds more than|nested too deeply"
        r"|must be a mapping of fields, such",
        "The file holds no data",
        "It is not there, not readable by this user, longer than 1 MiB, or no YAML, JSON or TOML. The place is where the"
        " reader gave up: the mistake is often on the line before. The exit code is 2, nothing else was looked at.",
    ),
    Kind(
        "CFG002",
        r"is not a known field",
        "A field that does not exist",
        "Nothing reads it, so what it was meant to do would silently not happen. `equipoise check --fix` renames what can"
        " only mean one field, `equipoise config schema` lists all of them.",
    ),
    Kind(
        "CFG003",
        r"is required|needs either",
        "Something that cannot be left out",
        "A backend needs at least backend_type, and an address where its kind has none of its own.",
    ),
    Kind(
        "CFG004",
        r"must be (a (whole |finite )?number|true or false|text|a list|a mapping|one line)|must not be empty",
        "A value of another type",
        "Numbers, texts, lists and mappings do not stand for each other. In YAML, quotes make a text: '30' is not 30.",
    ),
    Kind(
        "CFG005",
        r"must be (between|positive|at most)|must not be negative",
        "A number out of bounds",
        "The bounds are in the message; shares and scores lie between 0 and 1, times and sizes are positive.",
    ),
    Kind(
        "CFG006",
        r"must be one of",
        "None of the words that are known here",
        "The words are in the message; they are written in lower case with underscores.",
    ),
    Kind(
        "CFG007",
        r"secret file|\$\{|variable|is not set",
        "A secret or variable that is not there",
        "${NAME} takes the value from the environment or from .env beside the gateway, ${NAME:-default} has a default,"
        " file:/path reads a file of one line.",
    ),
    Kind(
        "CFG008",
        r"",
        "A rule that several fields must keep together",
        "Routes and aliases must name what there is, chains of fallbacks must end, a function needs `function`, a URL must"
        " be one. The message says which rule; nothing of the kind is left to be found at run time.",
    ),
)
CODES = {kind.code: kind for kind in KINDS}


def code_of(problem: Problem) -> str:
    """The code of a problem."""
    return next(kind.code for kind in KINDS if re.search(kind.pattern, problem.message))
