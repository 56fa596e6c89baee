"""The one table of what can be said already but has no effect yet, with the feature that will give it one.

A field that nothing reads is a bug, except those named here. Whoever builds a feature removes its rows.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from equipoise.config.errors import dotted
from equipoise.config.tree import Tree

PENDING_FIELDS: dict[str, str] = {}
PENDING_VARIABLES: dict[str, str] = {}


def pending(name: str) -> str | None:
    """The feature this field (a dotted path) waits for, or None when it has an effect."""
    return next((feature for field, feature in PENDING_FIELDS.items() if fnmatchcase(name, field)), None)


def given_without_effect(tree: Tree) -> list[str]:
    """A sentence for every field that was said and does nothing yet."""
    found = ((dotted(path), place, pending(dotted(path))) for path, place in tree.origins.items())
    return [f"{place}: {name}: has no effect yet ({feature})" for name, place, feature in found if feature]
