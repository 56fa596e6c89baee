"""`equipoise init`"""

from __future__ import annotations

import json as json_format
from pathlib import Path

from equipoise.cli.exits import REFUSED, USAGE, Failure
from equipoise.cli.output import say, tell

SCHEMA_FILE = "equipoise.schema.json"
EDITORS = f"# yaml-language-server: $schema=./{SCHEMA_FILE}\n"


def init(
    file: Path = Path("equipoise.yaml"), /, *, schema: bool = False, force: bool = False, dry_run: bool = False
) -> None:
    """Write a commented example configuration.

    Parameters
    ----------
    file: Path
        Where to.
    schema: bool
        Also write equipoise.schema.json beside it, for completion in editors.
    force: bool
        Write over files that exist.
    dry_run: bool
        Print what would be written.
    """
    from equipoise.config.example import example
    from equipoise.config.save import json_schema

    texts = {file: (EDITORS if schema else "") + example()}
    if schema:
        texts[file.parent / SCHEMA_FILE] = json_format.dumps(json_schema(), indent=2) + "\n"
    if dry_run:
        say(texts[file], end="")
        return
    _refuse_to_overwrite([path for path in texts if path.exists()], force)
    for path, text in texts.items():
        _write(path, text)
        tell(f"wrote {path}")
    tell(f"next: equipoise check -c {file}; equipoise serve -c {file}")


def _refuse_to_overwrite(existing: list[Path], force: bool) -> None:
    if existing and not force:
        raise Failure(f"{', '.join(map(str, existing))} exists already", REFUSED, "--force writes over it")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", USAGE) from error
