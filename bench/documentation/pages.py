"""Which reference pages there are."""

from __future__ import annotations

from bench.documentation.command_line import command_line
from bench.documentation.configuration import configuration
from bench.documentation.http import http
from bench.documentation.metrics import metrics
from bench.documentation.python import python

MADE = "<!-- Made by `python -m bench.documentation`; changes here are lost. -->\n"


def pages() -> dict[str, str]:
    """Path below the checkout -> text."""
    made = {
        "configuration": configuration(),
        "command-line": command_line(),
        "http": http(),
        "python": python(),
        "metrics": metrics(),
    }
    return {f"docs/reference/{name}.md": MADE + text.rstrip() + "\n" for name, text in made.items()}
