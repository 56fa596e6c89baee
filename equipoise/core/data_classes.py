"""What kind of data a question holds, and who may be shown it.

A question carries a set of classes: those of its key, those of its route and those that it names itself, all together. A
backend may be asked when it allows every one of them. More classes never mean more backends, so nothing that a client
says opens what its key or its route has closed; and a class that no backend knows closes everything.
"""

from __future__ import annotations

import re

NOT_ALLOWED = "data_class_not_allowed"
MOST = 8
"""Classes that one question may name: they come from strangers."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
NONE: frozenset[str] = frozenset()


def read(said: str) -> frozenset[str]:
    """Classes as a client names them, separated by commas, in small letters. Raises ValueError for what is no name."""
    names = frozenset(name for name in (part.strip().lower() for part in said.split(",")) if name)
    if not names or len(names) > MOST or not all(NAME.fullmatch(name) for name in names):
        raise ValueError(f"must be 1 to {MOST} names of at most 32 letters, digits and . _ -")
    return names


def forbidden(classes: frozenset[str], allows: frozenset[str]) -> str | None:
    """Why one that allows these may not be shown a question of those classes, in words for people; None when it may."""
    if classes <= allows:
        return None
    missing = sorted(classes - allows)
    return f"its `allows` does not name the data class{'es' if len(missing) > 1 else ''} {', '.join(missing)}"
