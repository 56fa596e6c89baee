"""`equipoise store backup` and `restore`: the ledger and everything in the state directory, together"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from equipoise.cli.agreeing import agree
from equipoise.cli.configured import configuration
from equipoise.cli.exits import REFUSED, USAGE, Failure
from equipoise.cli.output import remark, say

if TYPE_CHECKING:
    from equipoise.config import Config

LEDGER = "ledger.sqlite3"
ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]


def backup(folder: Path, /, *, dry_run: bool = False, config: ConfigFile = None) -> None:
    """Copy the ledger and the stores of keys, budgets and state into a folder; gateways may run meanwhile.

    The ledger comes first, each as it is at one instant.

    Parameters
    ----------
    folder: Path
        A folder that is not there yet, or is empty.
    dry_run: bool
        Only say what would be copied.
    config: Path
        The configuration whose stores are meant; otherwise the one that `serve` would take.
    """
    from equipoise.build.store import state_in
    from equipoise.stores.copies import back_up
    from equipoise.stores.sqlite import StoreError

    found = {name: place for name, place in _stores(config).items() if place.is_file()}
    if (of := configuration(config, quiet=True).config).shared.postgres is not None:
        remark(f"records, keys and state are in {state_in(of).name}: pg_dump -n equipoise copies those")
    if not found:
        raise Failure("there is nothing to copy yet", USAGE)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Failure(f"{folder} is there already and not empty", REFUSED, "name another folder")
    for name, place in found.items():
        if dry_run:
            say(f"{place} -> {folder / name}")
            continue
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = back_up(place, folder / name)
        except (OSError, StoreError) as error:
            raise Failure(str(error), USAGE) from error
        say(f"{place} -> {folder / name} ({size} bytes)")


def restore(folder: Path, /, *, yes: bool = False, dry_run: bool = False, config: ConfigFile = None) -> None:
    """Put the copies of a backup in the place of ledger and state store; no gateway may have them open.

    Parameters
    ----------
    folder: Path
        The folder that `backup` wrote.
    yes: bool
        Do not ask.
    dry_run: bool
        Only say what would be put where.
    config: Path
        The configuration whose stores are meant; otherwise the one that `serve` would take.
    """
    from equipoise.stores.copies import in_use, restore
    from equipoise.stores.sqlite import StoreError

    found = {folder / name: place for name, place in _stores(config, folder).items() if (folder / name).is_file()}
    if not found:
        raise Failure(f"{folder} holds no backup of ours", USAGE)
    try:
        busy = [str(place) for place in found.values() if in_use(place)]
        if busy:
            raise Failure(f"{', '.join(busy)}: in use", REFUSED, "stop the gateways that have it open")
        agree(yes or dry_run, f"What is in {', '.join(map(str, found.values()))} now will be lost.")
        for copy, place in found.items():
            if not dry_run:
                restore(copy, place)
            say(f"{copy} -> {place}")
    except StoreError as error:
        raise Failure(str(error), USAGE) from error


def _stores(config: Path | None, folder: Path | None = None) -> dict[str, Path]:
    """The name of each store in a backup, and its file: those of the state directory, or those that `folder` holds."""
    loaded: Config = configuration(config, quiet=True).config
    state, ledger = loaded.state_path, loaded.ledger_path
    names = sorted(place.name for place in (folder or state).glob("*.sqlite3"))
    stores = {name: state / name for name in names if name != LEDGER}
    return ({LEDGER: ledger} if ledger is not None else {}) | stores
