"""What upstreams say they counted and billed: token counts that may be anything, dollars read as decimals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from equipoise.core.model import NanoUSD, Usage
from equipoise.core.pricing import nano_dollars

MOST: Final = 1_000_000_000
"""No answer has a billion tokens; a larger count is an upstream's mistake."""

NOT_A_NUMBER: Final = Decimal("NaN")


def exact(text: str) -> Decimal:
    """A fraction as it was written; not a number where its exponent is more than a decimal can have."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return NOT_A_NUMBER


decode_exactly = msgspec.json.Decoder(float_hook=exact).decode
"""Decode JSON with every fraction as the decimal that was written: binary floats would falsify money."""


def count(value: object) -> int:
    """A token count; 0 for what cannot be one. Bounded before it is turned into digits: `1e999999999` has too many."""
    if type(value) is int:
        return value if 0 <= value <= MOST else 0
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return 0
    if isinstance(value, Decimal) and not value.is_finite():
        return 0
    return int(value) if 0 <= value <= MOST and value == int(value) else 0


def billed(value: object) -> NanoUSD | None:
    """Dollars as nano-dollars, rounded up; None for what is no amount of money."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        return nano_dollars(value)
    except ValueError:
        return None


def metered(cost: object) -> NanoUSD | None:
    """The total of a `usage.cost`: Perplexity's object in dollars, or a plain amount."""
    if not isinstance(cost, Mapping):
        return billed(cost)
    return billed(cost.get("total_cost")) if cost.get("currency", "USD") == "USD" else None


def inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of that name, empty if there is none."""
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def chat_usage(usage: Mapping[str, Any]) -> Usage:
    """Usage in the form of chat completions, with Perplexity's additions."""
    reasoning = inner(usage, "completion_tokens_details").get("reasoning_tokens") or usage.get("reasoning_tokens")
    return Usage(
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cached_tokens=count(inner(usage, "prompt_tokens_details").get("cached_tokens")),
        reasoning_tokens=count(reasoning),
        citation_tokens=count(usage.get("citation_tokens")),
        searches=count(usage.get("num_search_queries")),
    )
