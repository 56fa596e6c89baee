"""Prices that are published but in no list: Perplexity's request and tool fees; and which of several prices is true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from equipoise.core.model import BackendType, NanoUSD
from equipoise.core.pricing import Price, nano_dollars, price_from_dollars

# docs.perplexity.ai/getting-started/pricing, read October 2026. Dollars per million tokens in and out; request fees in
# dollars by search context size low, medium, high.
_CONTEXT_SIZES = ("low", "medium", "high")
_CHAT_TOKENS = {"sonar": ("1", "1"), "sonar-pro": ("3", "15"), "sonar-reasoning-pro": ("2", "8")}
_CHAT_FEES = {
    "sonar": ("0.005", "0.008", "0.012"),
    "sonar-pro": ("0.006", "0.010", "0.014"),
    "sonar-reasoning-pro": ("0.006", "0.010", "0.014"),
}
_PRO_SEARCH_FEES = ("0.014", "0.018", "0.022")
# One deep research reports tens of searches, tens of thousands of citation tokens and up to 100,000 of reasoning. The
# allowance (30 searches, 30k, 100k) is our assumption, not a published figure: 0.15 + 0.06 + 0.30.
_DEEP_RESEARCH = {
    "input": "2", "output": "8", "citation": "2", "reasoning": "3", "per_search": "0.005", "allowance": "0.51"
}  # fmt: skip
# Sources disagree on the agent's web search ($0.0025 or $0.005 a call): the higher one, so that nothing is underbooked;
# the upstream's own `usage.cost` decides in the end.
_TOOL_FEES = {"fetch_url": "0.0005", "people_search": "0.005", "finance_search": "0.005", "sandbox": "0.03"}
_AGENT_SONAR = {"input": "0.25", "output": "2.50", "cached_input": "0.0625", "per_search": "0.005"}


def perplexity_overlay(
    model: str, api: str = "agent", search_context_size: str = "low", search_type: str = "fast"
) -> Price | None:
    """Perplexity's published price of a model (with or without `perplexity/`), or None when it is not published.

    `api` is "agent" or "chat". A preset may run anyone's model, so it has no price of its own.
    """
    name = model.removeprefix("perplexity/")
    if api == "agent":
        return price_from_dollars(_AGENT_SONAR, "overlay") if name == "sonar" else None
    if name == "sonar-deep-research":
        return price_from_dollars(_DEEP_RESEARCH, "overlay")
    if name not in _CHAT_TOKENS or search_context_size not in _CONTEXT_SIZES:
        return None
    fees = _PRO_SEARCH_FEES if name == "sonar-pro" and search_type in ("pro", "auto") else _CHAT_FEES[name]
    fee = fees[_CONTEXT_SIZES.index(search_context_size)]
    per_token = _CHAT_TOKENS[name]
    return price_from_dollars({"input": per_token[0], "output": per_token[1], "per_request": fee}, "overlay")


def agent_tool_fee(tool: str) -> NanoUSD:
    """What one call of an agent's tool costs where the reply does not say; 0 for one without a published fee."""
    return nano_dollars(_TOOL_FEES.get(tool, "0"))


def search_fee_of_the_agent() -> NanoUSD:
    """What one web search of the agent costs."""
    return nano_dollars(_AGENT_SONAR["per_search"])


def price_for(
    backend_type: str,
    model: str = "",
    api: str = "",
    price_option: Mapping[str, Any] | None = None,
    cost_per_1k_tokens: float | None = None,
    search_context_size: str = "low",
    search_type: str = "fast",
    listed: Callable[[], Price | None] = lambda: None,
) -> Price | None:
    """The price to use: the operator's, else the overlay's, else the `listed` one, else `cost_per_1k_tokens`.

    `listed` looks into a list of published prices and is called only if it is needed. None means unknown. A
    `cost_per_1k_tokens` of 0 is the specification's default and says nothing; what really is free is told by
    `price: {input: 0, output: 0}`. A local model or a function costs nothing unless priced.
    """
    if price_option is not None:
        return price_from_dollars(price_option)
    if backend_type == BackendType.PERPLEXITY:
        published = perplexity_overlay(model, api or "agent", search_context_size, search_type)
        if published is not None:
            return published
    if (found := listed()) is not None:
        return found
    if cost_per_1k_tokens:
        rate = nano_dollars(Decimal(str(cost_per_1k_tokens)) * 1000)
        return Price(input=rate, output=rate, source="cost_per_1k_tokens")
    free = backend_type in (BackendType.LOCAL_LLM, BackendType.FUNCTION)
    return Price(source="local") if free else None
