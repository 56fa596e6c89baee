"""`equipoise migrate vendor`: the specified modules into an application's own package of that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equipoise
from equipoise.cli.exits import OK, PROBLEMS, REFUSED, USAGE, Failure
from equipoise.cli.output import document, say, tell

PACKAGE = "lightrag_integration"
MARK = "# Written by `equipoise migrate vendor`; edits are lost when it is run again.\n"
PACKAGE_FILE = "__init__.py"
KEPT = ".before-equipoise"


def vendor(folder: Path, /, *, force: bool = False, dry_run: bool = False, json: bool = False) -> int:
    """Write the specified modules into an existing package, so that its application finds them under the names it uses.

    Files there that are not ours are left alone, and then nothing at all is written; the package's own __init__.py always
    stays. Running it again after an upgrade brings the newer ones.

    Parameters
    ----------
    folder: Path
        The package's folder, usually lightrag_integration.
    force: bool
        Replace files that are not ours; each is kept beside it as NAME.before-equipoise.
    dry_run: bool
        Only say what would be written.
    json: bool
        Print one JSON document.
    """
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder", USAGE, "name the package to write into")
    found = {name: _state(folder / name, text) for name, text in sources().items()}
    foreign = [name for name, state in found.items() if state == "foreign"]
    if foreign and not force and not dry_run:
        hint = f"--force replaces them and keeps each as NAME{KEPT}"
        raise Failure(f"{folder} has files of its own: {', '.join(foreign)}", REFUSED, hint)
    if not dry_run:
        _write(folder, found)
    _tell(folder, found, dry_run=dry_run, json=json)
    return PROBLEMS if foreign and not force else OK


def sources() -> dict[str, str]:
    """The modules by file name, marked as ours, as they are in this installation."""
    home = Path(equipoise.__file__).parents[1] / PACKAGE
    if not home.is_dir():
        raise Failure(f"this installation lacks {PACKAGE}: {home} is missing", USAGE, "install the whole package again")
    return {file.name: MARK + file.read_text("utf-8") for file in sorted(home.glob("*.py"))}


def _state(path: Path, text: str) -> str:
    """new, same, ours (an older one), foreign, or kept: an application's own __init__.py is its own business."""
    if not path.exists():
        return "new"
    try:
        present = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        present = ""
    if present == text:
        return "same"
    if present.startswith(MARK):
        return "ours"
    return "kept" if path.name == PACKAGE_FILE else "foreign"


def _write(folder: Path, found: dict[str, str]) -> None:
    texts = sources()
    try:
        for name, state in found.items():
            path = folder / name
            if state == "foreign":
                path.replace(_free(path))
            if state not in ("same", "kept"):
                path.write_text(texts[name], "utf-8")
    except OSError as error:
        raise Failure(f"cannot write into {folder}: {error.strerror}", USAGE) from error


def _free(path: Path) -> Path:
    """Where a file that is replaced is kept; an earlier one is never overwritten."""
    kept, number = path.with_name(path.name + KEPT), 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}{KEPT}.{number}")
    return kept


def _tell(folder: Path, found: dict[str, str], *, dry_run: bool, json: bool) -> None:
    if json:
        told: dict[str, Any] = {"folder": str(folder), "written": not dry_run, "files": found}
        document(told)
        return
    for name, state in found.items():
        say(f"{state:<8} {folder / name}")
    if found.get(PACKAGE_FILE) == "kept":
        tell(f"{folder / PACKAGE_FILE} stays as it is; names are found in its modules, e.g. {folder.name}.migration")
