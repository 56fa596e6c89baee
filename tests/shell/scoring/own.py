"""An engine for tests: answers or refuses, by what it is asked."""

from __future__ import annotations

GOOD = "A metabolite is a small molecule made or used when food, drugs or the body's own tissue are broken down."


def good(text: str) -> str:
    return GOOD


def refuses(text: str) -> str:
    return "I'm sorry, I do not have enough information."


def grades(text: str) -> str:
    return '{"relevance": 4, "completeness": 4, "overall": 3}'
