"""What is said of a candidate on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equipoise.cli.exits import USAGE, Failure

Document = dict[str, Any]


def given(file: Path | None, settings: tuple[str, ...]) -> tuple[str, str]:
    """What to call the candidate, and its text."""
    from equipoise.config.save import yaml_of

    if file is None and not settings:
        raise Failure("say what the candidate is", USAGE, "--candidate FILE, or --set strategy=cost_optimized")
    text = ""
    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{file} cannot be read: {error}", USAGE) from error
    if not settings:
        return file.name if file else "", text
    from equipoise.canary.candidates import merged
    from equipoise.config.files import parse_yaml

    try:
        data = parse_yaml(text) if text else {}
    except ValueError as error:
        raise Failure(f"{file} {error}", USAGE) from error
    for setting in settings:
        data = merged(data, _nested(setting, parse_yaml))
    return file.name if file else ", ".join(settings), yaml_of(data)


def _nested(setting: str, parse: Any) -> Document:
    name, sign, value = setting.partition("=")
    if not sign or not name:
        raise Failure(f"{setting!r} is no field=value", USAGE, "for example --set strategy=cost_optimized")
    try:
        found: Any = parse(value) if value else None
    except ValueError as error:
        raise Failure(f"the value of {name} {error}", USAGE) from error
    for part in reversed(name.split(".")):
        found = {part: found}
    return dict(found)


def percent(text: str) -> float:
    """A percentage with or without its sign. Raises Failure."""
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise Failure(f"{text!r} is no percentage", USAGE, "for example 5%") from None
