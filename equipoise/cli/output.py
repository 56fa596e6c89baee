"""Where output goes: answers, tables and documents to stdout, everything said about them to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TextIO

from cyclopts import Parameter

Output = Annotated[Literal["table", "wide", "json", "yaml"] | None, Parameter(name=["--output", "-o"])]
"""The form of what a command reads: `--output json` is `--json`."""
QUIET, VERBOSE = "EQUIPOISE_CLI_QUIET", "EQUIPOISE_CLI_VERBOSE"
BOLD, RED, GREEN, YELLOW, DIM = "1", "31", "32", "33", "2"


def say(text: str = "", *, end: str = "\n") -> None:
    """To stdout, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def remark(text: str) -> None:
    """To stderr unless --quiet: warnings and what goes on."""
    if not os.environ.get(QUIET):
        tell(text)


def detail(text: str) -> None:
    """To stderr with --verbose: what helps to understand."""
    if os.environ.get(VERBOSE):
        tell(painted(text, DIM, sys.stderr))


def tell(text: str) -> None:
    """To stderr: progress, warnings, errors."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def harmless(text: str) -> str:
    """A stranger's words without what a terminal would obey: escapes, cursor movements, reversed writing."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def document(value: Any) -> None:
    """One JSON document to stdout; what a terminal would obey stands escaped, which is the same to programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    say("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def as_documents(value: Any, output: str | None, json: bool) -> bool:
    """Print one document where a document was asked for; False where a table was."""
    if json or output == "json":
        document(value)
    elif output == "yaml":
        from equipoise.config.save import yaml_of

        say(yaml_of(value), end="")
    else:
        return False
    return True


def painted(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in a colour, where the stream shows colours."""
    return f"\x1b[{colour}m{text}\x1b[0m" if shows_colour(stream or sys.stdout) else text


def shows_colour(stream: TextIO) -> bool:
    """NO_COLOR (no-color.org) wins over FORCE_COLOR, and this over whether it is a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns to stdout; numbers to the right, never cut."""
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *texts]) for i in range(len(columns))]
    numbers = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    say(painted(_line(columns, widths, numbers), BOLD))
    for line in texts:
        say(_line(line, widths, numbers))


def cell(value: Any) -> str:
    """One value as a table shows it: nothing as a dash, floats short, the rest on one line."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    if isinstance(value, Mapping):
        return json.dumps(value, default=str)
    return " ".join(("".join(c if c.isprintable() else " " for c in str(value))).split())


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _line(texts: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    parts = [text.rjust(w) if right else text.ljust(w) for text, w, right in zip(texts, widths, numbers, strict=True)]
    return "  ".join(parts).rstrip()
