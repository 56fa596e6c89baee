"""`equipoise check`"""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import require_usable, warn
from equipoise.cli.exits import OK, PROBLEMS, USAGE, Failure
from equipoise.cli.output import Output, as_documents, document, remark, say, table, tell
from equipoise.config.codes import CODES, code_of
from equipoise.config.environment import read_environment
from equipoise.config.errors import ConfigurationError
from equipoise.config.files import discover, read
from equipoise.config.fixing import difference, fixed
from equipoise.config.load import Loaded, NothingConfigured, load
from equipoise.config.save import config_hash, plain
from equipoise.config.writing import write_text

COLUMNS = ("backend", "kind", "url", "model", "key", "weight", "per minute", "at once", "timeout", "first byte", "idle")


def check(
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    *,
    fix: bool = False,
    dry_run: bool = False,
    explain: str | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Say what is wrong with a configuration; contacts nothing.

    Everything that is wrong is told at once; warnings leave the exit code 0, errors make it 1, an unreadable file 2.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    fix: bool
        First rename what can only mean one field: misspelt names, and the earlier system's nested form.
    dry_run: bool
        With --fix: print what would be changed, and change nothing.
    explain: str
        Say what a code means, such as CFG002.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    if explain is not None:
        return _explain(explain)
    try:
        if fix and not _fix(config, dry_run):
            return OK
        loaded = load(config)
    except ConfigurationError as error:
        return _wrong(error, json or output == "json")
    require_usable(loaded)
    if not as_documents(_report(loaded), output, json):
        warn(loaded.warnings)
        table(COLUMNS, _effective(loaded))
        say(f"\n{loaded.source} is good ({config_hash(loaded.config)}); strategy {loaded.config.strategy.value}")
    return OK


def _explain(code: str) -> int:
    kind = CODES.get(code.upper())
    if kind is None:
        raise Failure(f"there is no code {code}", USAGE, f"the codes are {', '.join(CODES)}")
    say(f"{kind.code}: {kind.title}\n\n{fill(kind.text, 100)}")
    return OK


def _fix(config: Path | None, dry_run: bool) -> bool:
    """Rename in the file; False when that was all that was wanted. Raises Failure, ConfigurationError."""
    file = config or discover(read_environment(os.environ, Path()))
    if file is None or file.suffix == ".toml":
        raise Failure("there is no YAML or JSON file to fix", USAGE, "--config names one")
    text, done = fixed(file)
    if dry_run:
        say(difference(file.read_text("utf-8-sig"), text, str(file)))
        return False
    if done:
        write_text(file, text, read)
    for line in done:
        remark(f"fixed: {line}")
    return True


def _wrong(error: ConfigurationError, json: bool) -> int:
    if json:
        told = [{**problem.as_dict(), "code": code_of(problem)} for problem in error.problems]
        document({"ok": False, "problems": told})
    else:
        tell(str(error))
        count = len(error.problems)
        codes = ", ".join(sorted({code_of(problem) for problem in error.problems}))
        tell(f"\n{count} problem{'s' if count > 1 else ''} found ({codes}: see `equipoise check --explain CODE`)")
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
