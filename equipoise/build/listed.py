"""The list of published prices that the package genai-prices carries; imported only if a backend needs it.

It asks no network: the list is the one that was installed. Importing it takes 0.4 seconds and 32 MB, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from equipoise.core.overlay import search_fee_of_the_agent
from equipoise.core.pricing import Price, nano_dollars

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

SOURCE = "genai-prices"
PER_MILLION = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "reasoning": "output_reasoning_mtok",
    "citation": "output_citation_mtok",
}
PER_THOUSAND = {"per_request": "requests_kcount", "per_search": "web_searches_kcount"}


@cache
def listed_price(endpoint_url: str, model: str, day: str = "") -> Price | None:
    """The price of a model at a provider, both known exactly; None for any doubt.

    The provider is told by its address, the model by a name that the list spells out: a family ("gpt-4o*") is no exact
    name. `day` (YYYY-MM-DD) asks for the price of another day than today.
    """
    from genai_prices.data_snapshot import get_snapshot

    when = datetime.fromisoformat(day).replace(tzinfo=UTC) if day else datetime.now(UTC)
    for provider in get_snapshot().providers:
        if _is_at(provider, endpoint_url) and (info := _exactly(provider, model)) is not None:
            price = price_from(info.get_prices(when))
            return _with_search(price) if provider.id == "perplexity" else price
    return None


def list_version() -> str:
    """Which edition of the list is installed."""
    from importlib.metadata import version

    return version(SOURCE)


def _is_at(provider: Provider, url: str) -> bool:
    """Whether the address is the provider's, its host name whole: `api.openai.com.example` is somebody else's."""
    found = re.match(provider.api_pattern, url)
    if found is None:
        return False
    return found.end() == len(url) or url[found.end()] in "/:" or found.group().endswith(("/", "."))


def _exactly(provider: Provider, model: str) -> ModelInfo | None:
    wanted = model.lower()
    for info in provider.models:
        if wanted == info.id.lower() or wanted in _spelt_out(info.match):
            return info
    return None


def _spelt_out(clause: Any) -> Iterator[str]:
    """The names a match clause lists in full."""
    if hasattr(clause, "equals"):
        yield clause.equals.lower()
    for part in getattr(clause, "or_", ()):
        yield from _spelt_out(part)


def price_from(listed: ModelPrice) -> Price:
    """One of the list's prices as ours, with a further one for each length of prompt from which it is dearer."""
    starts = sorted({tier.start for value in vars(listed).values() for tier in getattr(value, "tiers", ())})
    above: Price | None = None
    for start, following in zip(reversed([0, *starts]), reversed([*starts, 0]), strict=True):
        above = _from(listed, start, above, following)
    assert above is not None
    return above


def _from(listed: ModelPrice, start: int, above: Price | None, following: int) -> Price:
    """The price of prompts longer than `start` tokens, with the one beyond `following` above it."""
    amounts = {ours: _amount(listed, theirs, start) for ours, theirs in (PER_MILLION | PER_THOUSAND).items()}
    nano = {name: nano_dollars(amount) for name, amount in amounts.items() if amount is not None}
    nano |= {name: -(-nano[name] // 1000) for name in PER_THOUSAND if name in nano}
    return Price(**nano, source=SOURCE, above=above, above_tokens=following)


def _amount(listed: ModelPrice, name: str, start: int) -> Decimal | None:
    value = getattr(listed, name, None)
    if value is None or isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tier.start <= start]
    return Decimal(reached[-1] if reached else value.base)


def _with_search(price: Price) -> Price:
    """Another's model behind Perplexity's agent: each question is expected to search once, at the agent's fee."""
    from msgspec.structs import replace

    fee = max(price.per_search, search_fee_of_the_agent())
    return price if price.per_request else replace(price, per_search=fee, allowance=fee)
