"""A yes before something is changed: from the option, or from a person at a terminal."""

from __future__ import annotations

import sys

from equipoise.cli.exits import REFUSED, Failure
from equipoise.cli.output import tell


def agree(yes: bool, what: str) -> None:
    """Go on only with a yes. Raises Failure (4) without one, and where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(what, REFUSED, "--yes agrees to it, --dry-run only says what would be done")
    tell(f"{what} Go on? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed", REFUSED)
