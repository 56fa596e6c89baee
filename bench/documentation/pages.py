"""Which reference pages there are, and what of a Helm chart is made from the code as they are."""

from __future__ import annotations

from bench.documentation.chart import chart
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
    written = {f"docs/reference/{name}.md": MADE + text.rstrip() + "\n" for name, text in made.items()}
    return {**written, **chart()}
