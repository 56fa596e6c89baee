"""What commands do with a configuration: read it, and make its objects; warnings to stderr, errors as exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.output import YELLOW, detail, painted, remark, tell
from equipoise.config.errors import ConfigurationError
from equipoise.config.errors import Path as FieldPath
from equipoise.config.load import Loaded, load

if TYPE_CHECKING:
    from equipoise.build import Estate


def configuration(
    file: Path | None,
    flags: Mapping[str, Any] | None = None,
    *,
    quiet: bool = False,
    changes: Mapping[FieldPath, Any] | None = None,
) -> Loaded:
    """The configuration a command works with; raises Failure with everything that is wrong."""
    try:
        loaded = load(file, flags=flags, changes=changes)
    except ConfigurationError as error:
        raise Failure(str(error), USAGE) from error
    detail(f"configuration: {loaded.source}")
    require_usable(loaded)
    if not quiet:
        warn(loaded.warnings)
    return loaded


def require_usable(loaded: Loaded) -> None:
    """Without the extra, or with what is no address, no command gets anywhere: raises Failure. Contacts nobody."""
    if loaded.config.shared.postgres is None:
        return
    from equipoise.build.store import state_in
    from equipoise.stores import StoreError

    try:
        state_in(loaded.config)
    except StoreError as error:
        raise Failure(str(error), USAGE) from error


def warn(warnings: tuple[str, ...]) -> None:
    """Each warning on a line of stderr."""
    for warning in warnings:
        remark(f"{painted('warning:', YELLOW, sys.stderr)} {warning}")


def estate_of(loaded: Loaded, on_error: Callable[[str], None] = tell) -> Estate:
    """The objects behind a configuration; raises Failure where one of them cannot be made."""
    from equipoise.build import build
    from equipoise.stores import StoreError

    estate_paths(loaded)
    try:
        return build(loaded.config, on_error)
    except (ValueError, OSError, ImportError, AttributeError, StoreError) as error:
        raise Failure(f"the configuration is well-formed but cannot be used: {error}", USAGE) from error


def estate_paths(loaded: Loaded) -> None:
    """Let Python objects that the configuration names be found beside its file."""
    if loaded.file is not None:
        _find_functions_beside(loaded.file)


def _find_functions_beside(file: Path) -> None:
    """Let `function: module:callable` be found beside its configuration file, as people expect."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
