"""`equipoise check`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import warn
from equipoise.cli.exits import OK, PROBLEMS, USAGE
from equipoise.cli.output import document, say, table, tell
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import Loaded, NothingConfigured, load
from equipoise.config.save import config_hash, plain

COLUMNS = ("backend", "kind", "url", "model", "key", "weight", "per minute", "at once", "timeout", "first byte", "idle")


def check(*, config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None, json: bool = False) -> int:
    """Say what is wrong with a configuration; contacts nothing.

    Everything that is wrong is told at once; warnings leave the exit code 0, errors make it 1, an unreadable file 2.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    json: bool
        Print one JSON document.
    """
    try:
        loaded = load(config)
    except ConfigurationError as error:
        return _wrong(error, json)
    if json:
        document(_report(loaded))
    else:
        warn(loaded.warnings)
        table(COLUMNS, _effective(loaded))
        say(f"\n{loaded.source} is good ({config_hash(loaded.config)}); strategy {loaded.config.strategy.value}")
    return OK


def _wrong(error: ConfigurationError, json: bool) -> int:
    if json:
        document({"ok": False, "problems": [problem.as_dict() for problem in error.problems]})
    else:
        tell(str(error))
        count = len(error.problems)
        tell(f"\n{count} problem{'s' if count > 1 else ''} found")
    return USAGE if error.unreadable or isinstance(error, NothingConfigured) else PROBLEMS


def _report(loaded: Loaded) -> dict[str, Any]:
    return {
        "ok": True,
        "source": loaded.source,
        "hash": config_hash(loaded.config),
        "warnings": list(loaded.warnings),
        "effective": plain(loaded.config, everything=True),
    }


def _effective(loaded: Loaded) -> list[tuple[Any, ...]]:
    return [
        (
            backend.id,
            backend.backend_type.value,
            backend.endpoint_url or backend.function,
            backend.model or backend.preset,
            None if backend.api_key is None else str(backend.api_key),
            backend.weight,
            backend.max_requests_per_minute,
            backend.max_concurrent_requests,
            backend.timeout_seconds,
            backend.first_byte_timeout_seconds,
            backend.idle_timeout_seconds,
        )
        for backend in loaded.config.backend_instances.values()
    ]
