"""The configuration file, looked at again before a phase begins: a gateway that restarts will read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from equipoise.config.errors import ConfigurationError
from equipoise.config.load import Loaded, load
from equipoise.config.save import config_hash
from equipoise.migration.checks import FAILED, OK, WARNING, Check

NAME = "configuration"


def file_check(loaded: Loaded) -> Callable[[], Sequence[Check]]:
    """Is the file still good, and still what this gateway began with?"""
    if loaded.file is None:
        return lambda: [Check(NAME, OK, f"from {loaded.source}")]
    file, running = loaded.file, config_hash(loaded.config)

    def look() -> Sequence[Check]:
        try:
            now = config_hash(load(file).config)
        except ConfigurationError as error:
            return [Check(NAME, FAILED, f"{file} is no longer good: {error}")]
        if now != running:
            return [
                Check(NAME, WARNING, f"{file} or a flag differs from what this gateway runs with ({now}, {running})")
            ]
        return [Check(NAME, OK, f"{file} ({now})")]

    return look
