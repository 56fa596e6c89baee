"""From pydantic's errors to sentences about fields, with the nearest name where one was misspelt."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from equipoise.config.errors import NOTHING, Path, Problem, did_you_mean
from equipoise.config.fields import Section
from equipoise.config.schema import RULES, Config
from equipoise.config.strategies import NAMED_TAG, OWN_TAG

KEY = "[key]"
NO_PART = (KEY, NAMED_TAG, OWN_TAG)
UNITS = re.compile(r"_(seconds|ms|minutes|hours)$")
TYPES = {
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of fields",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "frozen_set_type": "must be a list",
    "missing": "is required",
    "extra_forbidden": "is not a known field",
}


FEW = 20
"""Fields that can be listed in a hint."""


def problems_in(error: ValidationError) -> list[Problem]:
    """Each thing pydantic refused, but not the broken rules: those are told one by one elsewhere."""
    return [_problem(found) for found in error.errors() if found["type"] != RULES]


def _problem(found: ErrorDetails) -> Problem:
    at_key = found["loc"][-1:] == (KEY,)
    path: Path = tuple(part for part in found["loc"] if part not in NO_PART)
    if at_key:
        return Problem(path, "is not a name that can be used", hint="letters, digits, dots, dashes; no spaces")
    got = NOTHING if found["type"] in ("missing", "extra_forbidden") else found["input"]
    return Problem(path, _message(found, path), got, _hint(found, path))


def _message(found: ErrorDetails, path: Path) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        return f"{title(path)} {_bounds(path, kind, context)}"
    if kind in ("enum", "literal_error"):
        return f"must be one of {_choices(context['expected'])}"
    if kind == "string_pattern_mismatch":
        return _pattern(str(path[-1]))
    return TYPES.get(kind) or found["msg"].removeprefix("Value error, ")


def title(path: Path) -> str:
    """A field's name in words, as the specification's messages have it: quality_score -> Quality score."""
    return UNITS.sub("", str(path[-1])).replace("_", " ").capitalize()


def _bounds(path: Path, kind: str, context: dict[str, Any]) -> str:
    low, high = bounds(path)
    if low is not None and high is not None:
        return f"must be between {low:g} and {high:g}"
    if kind == "greater_than":
        return "must be positive"
    return "must not be negative" if kind == "greater_than_equal" else f"must be at most {context['le']}"


def bounds(path: Path) -> tuple[float | None, float | None]:
    """The lowest and highest value a field may have, where it says both as `ge` and `le`."""
    section = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    known = list(_metadata(field.annotation)) + list(field.metadata) if field else []
    low = next((m.ge for m in known if getattr(m, "ge", None) is not None), None)
    high = next((m.le for m in known if getattr(m, "le", None) is not None), None)
    return low, high


def _metadata(annotation: Any) -> list[Any]:
    """The limits inside an annotation; a Field inside an Annotated holds its own list of them."""
    own = list(getattr(annotation, "__metadata__", ()))
    flat = [limit for item in own for limit in (getattr(item, "metadata", None) or [item])]
    return flat + [limit for part in get_args(annotation) for limit in _metadata(part)]


def _choices(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")


def _pattern(field: str) -> str:
    wanted = {
        "function": "must be written module:callable",
        "strategy": "must be written module:Class",
        "sha256": "must be 64 hexadecimal digits",
    }
    return wanted.get(field, "is not a name that can be used")


def _hint(found: ErrorDetails, path: Path) -> str | None:
    if found["type"] == "extra_forbidden":
        section = section_at(path[:-1])
        return None if section is None else did_you_mean(path[-1], section.model_fields) or _all_of(section)
    if found["type"] in ("enum", "literal_error"):
        return did_you_mean(found["input"], _choices(found["ctx"]["expected"]).split(", "))
    return None


def section_at(path: Path) -> type[Section] | None:
    """The section that the mapping at this path fills, or None where keys are free."""
    section: type[Section] | None = Config
    free = False
    for part in path:
        if free:
            free = False
            continue
        if section is None or str(part) not in section.model_fields:
            return None
        annotation = section.model_fields[str(part)].annotation
        section, free = _section_in(annotation), _is_mapping(annotation)
    return None if free else section


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(get_origin(part) is dict for part in get_args(annotation))


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _all_of(section: type[Section]) -> str | None:
    """What can be said there, where it is not much."""
    names = list(section.model_fields)
    return f"one of {', '.join(names)}" if len(names) <= FEW else None
