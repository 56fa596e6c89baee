"""Engines as functions that remember what they were shown, and a configuration of them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

PLACE = "tests.shell.trust.engines"
SHOWN: dict[str, list[str]] = defaultdict(list)
"""What each engine was shown since somebody cleared it."""


async def trusted(text: str) -> str:
    """Answers well."""
    SHOWN["trusted"].append(text)
    return "A metabolite is a small molecule that takes part in metabolism."


async def refusing(text: str) -> str:
    """Answers, and badly."""
    SHOWN["refusing"].append(text)
    return "I am sorry, I cannot help."


async def failing(text: str) -> str:
    """Never answers."""
    SHOWN["failing"].append(text)
    raise RuntimeError("broken")


async def stranger(text: str) -> str:
    """Would answer anything."""
    SHOWN["stranger"].append(text)
    return '{"overall": 5, "relevance": 5}'


def engine(name: str, *allows: str, **more: Any) -> dict[str, Any]:
    """One of them as a backend."""
    own = {"backend_type": "function", "function": f"{PLACE}:{name}", "circuit_breaker_enabled": False}
    return own | ({"allows": list(allows)} if allows else {}) | more
