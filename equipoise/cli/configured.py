"""Reading the configuration for a command: warnings to stderr, errors as exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.output import YELLOW, painted, tell
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import Loaded, load


def configuration(file: Path | None, flags: Mapping[str, Any] | None = None, *, quiet: bool = False) -> Loaded:
    """The configuration a command works with; raises Failure with everything that is wrong."""
    try:
        loaded = load(file, flags=flags)
    except ConfigurationError as error:
        raise Failure(str(error), USAGE) from error
    if not quiet:
        warn(loaded.warnings)
    return loaded


def warn(warnings: tuple[str, ...]) -> None:
    """Each warning on a line of stderr."""
    for warning in warnings:
        tell(f"{painted('warning:', YELLOW, sys.stderr)} {warning}")
