"""genai-prices is believed for exactly what it names, and reckons as the provider's price list does."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from equipoise.build import price_of
from equipoise.build.listed import listed_price, price_from
from equipoise.config import BackendConfig, PriceConfig
from equipoise.core.model import Usage, dollars
from equipoise.core.pricing import cost_of

OPENAI = "https://api.openai.com/v1"


# platform.openai.com/docs/pricing, standard tier, as genai-prices 0.2.3 and LiteLLM's list agree on it (November 2026).
@pytest.mark.parametrize(
    ("model", "usage", "expected"),
    [
        ("gpt-4o-mini", Usage(input_tokens=1_000_000), "0.150000000"),
        ("gpt-4o-mini", Usage(input_tokens=1_000_000, cached_tokens=1_000_000), "0.075000000"),
        ("gpt-4o-mini", Usage(output_tokens=1_000_000), "0.600000000"),
        ("gpt-4o", Usage(input_tokens=1000, output_tokens=500), "0.007500000"),
        ("gpt-4o-2024-08-06", Usage(input_tokens=1000, cached_tokens=600, output_tokens=100), "0.002750000"),
        ("gpt-4.1-mini", Usage(input_tokens=2_000, output_tokens=1_000), "0.002400000"),
        ("o3", Usage(input_tokens=1_000_000, output_tokens=100_000, reasoning_tokens=90_000), "2.800000000"),
        ("gpt-5-mini", Usage(input_tokens=1_000_000, output_tokens=1_000_000), "2.250000000"),
        ("text-embedding-3-small", Usage(input_tokens=1_000_000), "0.020000000"),
    ],
)
def test_openais_list_prices(model: str, usage: Usage, expected: str) -> None:
    """Input, cached input, output with reasoning as part of it, and embeddings, to the nano-dollar."""
    price = listed_price(OPENAI, model)
    assert price is not None
    assert (dollars(cost_of(price, usage)), price.source) == (expected, "genai-prices")


def test_a_price_of_another_day_is_that_days() -> None:
    """o3 cost five times as much until 10 June 2025."""
    before, after = listed_price(OPENAI, "o3", "2025-06-09"), listed_price(OPENAI, "o3", "2025-06-10")
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (10 * 10**9, 2 * 10**9)


@pytest.mark.parametrize(
    ("url", "model"),
    [
        (OPENAI, "gpt-4o-mini-of-ours"),
        (OPENAI, "gpt-4"[:-1]),
        ("https://api.openai.com.example/v1", "gpt-4o"),
        ("https://llm.example/v1", "gpt-4o"),
        ("http://127.0.0.1:8000/v1", "gpt-4o"),
    ],
)
def test_what_is_not_exactly_known_has_no_price(url: str, model: str) -> None:
    """Neither a name that only begins like a known one nor a host that only looks like one."""
    assert listed_price(url, model) is None


def test_long_prompts_have_the_dearer_price_of_the_list() -> None:
    """A tier of the list becomes the price above its bound; the highest bound is found first."""
    tiers = SimpleNamespace(start=200_000, price=Decimal("2.5")), SimpleNamespace(start=500_000, price=Decimal("4"))
    value = SimpleNamespace(base=Decimal("1.25"), tiers=list(tiers))
    listed: Any = SimpleNamespace(input_mtok=value, output_mtok=Decimal(10), requests_kcount=Decimal("0.5"))
    price = price_from(listed)
    counts = (200_000, 200_001, 500_001)
    assert [price.at(count).input for count in counts] == [1_250_000_000, 2_500_000_000, 4_000_000_000]
    assert {price.at(count).output for count in counts} == {10 * 10**9}
    assert price.per_request == 500_000


def backend(**said: Any) -> BackendConfig:
    return BackendConfig.model_validate({"id": "x", **said})


def test_the_order_of_truth_of_a_configured_backend() -> None:
    """The operator's price, the overlay, the list, the flat rate: the first that knows it, by its name."""
    openai = {"backend_type": "openai_direct", "model": "gpt-4o"}
    own = backend(**openai, price={"input": 1})
    listed = backend(**openai, cost_per_1k_tokens=0.1)
    overlay = backend(backend_type="perplexity", cost_per_1k_tokens=0.2)
    flat = backend(**openai | {"model": "gpt-of-ours"}, cost_per_1k_tokens=0.1)
    unknown = backend(**openai | {"endpoint_url": "https://llm.example/v1"})
    found = [price_of(each) for each in (own, listed, overlay, flat, unknown)]
    assert [price and price.source for price in found] == [
        "price",
        "genai-prices",
        "overlay",
        "cost_per_1k_tokens",
        None,
    ]


def test_an_assumed_price_counts_where_nobody_knows_one() -> None:
    """Last of all, by a name of its own, and never for what is free or known."""
    assumed = PriceConfig.model_validate({"input": 20, "output": 60})
    unknown = backend(backend_type="openai_direct", endpoint_url="https://llm.example/v1", model="somebody")
    local = backend(backend_type="local_llm", endpoint_url="http://127.0.0.1:9/v1")
    known = backend(backend_type="perplexity")
    found = [price_of(each, assumed) for each in (unknown, local, known)]
    assert [price and price.source for price in found] == ["default", "local", "overlay"]
    assert found[0] is not None
    assert found[0].output == 60 * 10**9


def test_somebody_elses_model_behind_perplexity_is_expected_to_search() -> None:
    """The list knows its tokens; the search the agent does for each question is the overlay's."""
    price = price_of(backend(backend_type="perplexity", model="perplexity/kimi-k3"))
    assert price is not None
    assert (price.source, price.input) == ("genai-prices", 3 * 10**9)
    assert price.allowance == price.per_search == 5_000_000


def test_the_list_is_imported_only_when_a_backend_needs_it() -> None:
    """A gateway whose prices are told, or published in the overlay, does not pay for the list's 32 MB."""
    code = """
import sys
from equipoise.build import build
from equipoise.config.load import load
build(load({"backend_instances": {
    "web": {"backend_type": "perplexity"},
    "chat": {"backend_type": "openai_direct", "price": {"input": 1, "output": 2}},
    "mine": {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:9/v1"},
}, "ledger": {"enabled": False}}).config)
print("genai_prices" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
