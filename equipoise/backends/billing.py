"""What upstreams say they counted and billed: token counts that may be anything, dollars read as decimals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from equipoise.core.model import NanoUSD, Usage
from equipoise.core.pricing import nano_dollars

MOST: Final = 1_000_000_000
"""No answer has a billion tokens; a larger count is an upstream's mistake."""

decode_exactly = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decode JSON with every fraction as the decimal that was written: binary floats would falsify money."""


def count(value: object) -> int:
    """A token count; 0 for what cannot be one."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST else 0


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
