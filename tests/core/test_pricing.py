"""Prices are exact, costs are whole nano-dollars, and unknown is never zero."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.model import CostSource, Usage, dollars
from equipoise.core.overlay import agent_tool_fee, perplexity_overlay, price_for
from equipoise.core.pricing import (
    METERED,
    Bill,
    Price,
    TokenRatio,
    cost_of,
    estimate_tokens,
    expected_cost,
    nano_dollars,
    price_from_dollars,
    settled_cost,
    worst_case,
)

counts = st.integers(0, 10_000_000)
rates = st.integers(0, 10**12)
fees = st.integers(0, 10**9)
prices = st.builds(
    Price,
    input=rates,
    output=rates,
    cached_input=st.none() | rates,
    reasoning=st.none() | rates,
    citation=st.none() | rates,
    per_request=fees,
    per_search=fees,
    allowance=fees,
)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
    reasoning_tokens=counts,
    citation_tokens=counts,
    searches=st.integers(0, 100),
    requests=st.integers(0, 5),
)


@pytest.mark.parametrize(
    ("model", "api", "size", "usage", "expected"),
    [
        ("sonar", "chat", "low", Usage(input_tokens=1000, output_tokens=100), "0.006100000"),
        ("sonar", "chat", "high", Usage(input_tokens=1000, output_tokens=100), "0.013100000"),
        ("sonar", "chat", "medium", Usage(), "0.008000000"),
        ("sonar-pro", "chat", "low", Usage(input_tokens=1000, output_tokens=1000), "0.024000000"),
        ("sonar-reasoning-pro", "chat", "high", Usage(input_tokens=500_000, output_tokens=125_000), "2.014000000"),
        ("perplexity/sonar", "agent", "low", Usage(input_tokens=1_000_000), "0.250000000"),
        ("perplexity/sonar", "agent", "low", Usage(input_tokens=16, cached_tokens=16), "0.000001000"),
        ("perplexity/sonar", "agent", "low", Usage(output_tokens=4, searches=1), "0.005010000"),
    ],
)
def test_perplexity_costs_what_its_price_list_says(
    model: str, api: str, size: str, usage: Usage, expected: str
) -> None:
    """Tokens at the published rate plus the request fee of the search context, to the nano-dollar."""
    price = perplexity_overlay(model, api, size)
    assert price is not None
    assert dollars(cost_of(price, usage)) == expected
    assert price.source == "overlay"


def test_a_deep_research_bills_citations_reasoning_and_searches_beside_the_tokens() -> None:
    """2/8 a million in and out, 2 for citations, 3 for reasoning, 5 per 1,000 searches."""
    price = perplexity_overlay("sonar-deep-research", "chat")
    assert price is not None
    usage = Usage(input_tokens=33, output_tokens=7163, citation_tokens=20_016, reasoning_tokens=73_997, searches=18)
    by_hand = Fraction(33 * 2 + 7163 * 8 + 20_016 * 2 + 73_997 * 3, 1_000_000) + Fraction(18 * 5, 1000)
    assert cost_of(price, usage) == by_hand * 10**9


def test_pro_search_has_its_own_fee() -> None:
    """An unforeseeable `auto` is priced as the dearer of the two."""
    fast, pro, auto = (perplexity_overlay("sonar-pro", "chat", "low", kind) for kind in ("fast", "pro", "auto"))
    assert fast is not None
    assert pro is not None
    assert (fast.per_request, pro.per_request) == (6_000_000, 14_000_000)
    assert auto == pro


@pytest.mark.parametrize(
    ("model", "api", "size"), [("openai/gpt-5", "agent", "low"), ("sonar", "chat", "huge"), ("", "agent", "low")]
)
def test_what_is_not_published_has_no_price(model: str, api: str, size: str) -> None:
    """Third-party models behind a preset and unknown context sizes are unknown, not free."""
    assert perplexity_overlay(model, api, size) is None


def test_published_prices_are_exact_whole_numbers() -> None:
    """A sixteenth of a dollar a million, a quarter of a cent a call, twenty cents a thousand."""
    price = price_from_dollars({"input": 0.0625, "output": "200", "per_search": 0.0025})
    assert (price.input, price.output, price.per_search) == (62_500_000, 200_000_000_000, 2_500_000)
    per_thousand = price_for("openai_direct", cost_per_1k_tokens=0.20)
    assert per_thousand is not None
    assert per_thousand.output == 200_000_000_000
    assert cost_of(per_thousand, Usage(input_tokens=600, output_tokens=400)) == 200_000_000


@given(prices, usages)
def test_a_cost_is_the_exact_sum_rounded_up_once(price: Price, usage: Usage) -> None:
    """Compared with the same sum in fractions; an int, never negative, never more than one nano-dollar above."""
    cached = usage.cached_tokens
    terms = [max(usage.input_tokens - cached, 0) * price.input]
    terms.append(cached * (price.cached_input if price.cached_input is not None else price.input))
    if price.reasoning is None:
        terms.append(max(usage.output_tokens, usage.reasoning_tokens) * price.output)
    else:
        terms.append(usage.output_tokens * price.output + usage.reasoning_tokens * price.reasoning)
    terms.append(usage.citation_tokens * (price.citation or 0))
    exact = Fraction(sum(terms), 10**6) + usage.requests * price.per_request + usage.searches * price.per_search
    cost = cost_of(price, usage)
    assert type(cost) is int
    assert exact <= cost < exact + 1


@given(prices, usages, st.sampled_from(["output_tokens", "reasoning_tokens", "citation_tokens", "searches"]), counts)
def test_using_more_never_costs_less(price: Price, usage: Usage, field: str, more: int) -> None:
    """Cached tokens are the one discount; everything else is monotone."""
    values = {name: getattr(usage, name) for name in usage.__struct_fields__}
    dearer = Usage(**values | {field: values[field] + more, "input_tokens": values["input_tokens"] + more})
    assert cost_of(price, dearer) >= cost_of(price, usage) >= 0


@given(prices, st.integers(-(10**9), -1))
def test_an_upstream_that_reports_negative_counts_pays_nobody(price: Price, count: int) -> None:
    """A negative count is a false report, not a refund."""
    usage = Usage(input_tokens=count, output_tokens=count, cached_tokens=count, searches=count, requests=count)
    assert cost_of(price, usage) == 0


@given(prices, counts, counts, st.data())
def test_the_reservation_covers_every_usage_within_its_bounds(
    price: Price, input_tokens: int, output_tokens: int, data: st.DataObject
) -> None:
    """What is reserved is never below what is expected, nor below any bill within the counts."""
    reserved = worst_case(price, input_tokens, output_tokens)
    inside = st.integers(0, input_tokens)
    used = data.draw(inside)
    usage = Usage(
        input_tokens=used,
        cached_tokens=data.draw(st.integers(0, used)),
        output_tokens=data.draw(st.integers(0, output_tokens)),
        reasoning_tokens=data.draw(st.integers(0, output_tokens)) if price.reasoning is None else 0,
    )
    assert cost_of(price, usage) <= reserved
    assert expected_cost(price, input_tokens, output_tokens) <= reserved
    assert worst_case(price, input_tokens, output_tokens, price.allowance + 7) == reserved + 7


@given(st.integers(0, 10**15))
def test_dollars_and_nano_dollars_are_two_spellings_of_one_amount(amount: int) -> None:
    """Nine decimals there and back lose nothing, as text and as Decimal."""
    assert nano_dollars(dollars(amount)) == amount
    assert nano_dollars(Decimal(amount) / 10**9) == amount


@given(st.floats(0, 10_000, allow_nan=False), st.floats(0, 10_000, allow_nan=False))
def test_metered_floats_round_up_and_keep_their_order(one: float, other: float) -> None:
    """Never below the billed amount by more than the noise of a float, never a whole nano-dollar above."""
    exact = Fraction(Decimal(str(one))) * 10**9
    assert exact - Fraction(1, 1000) <= nano_dollars(one) < exact + 1
    assert (nano_dollars(one) <= nano_dollars(other)) or one > other


def test_the_noise_of_binary_floats_is_not_billed() -> None:
    """0.1 + 0.2 is thirty cents, not thirty cents and a nano-dollar."""
    assert nano_dollars(0.1 + 0.2) == 300_000_000
    assert nano_dollars(5e-10) == 1


@pytest.mark.parametrize("amount", [-1, "nan", "inf", "ten", "", True, float("nan"), "1e40", None])
def test_what_is_no_amount_of_money_is_refused(amount: object) -> None:
    """A wrong price is an error when it is read, not a wrong bill later."""
    with pytest.raises(ValueError, match="money"):
        nano_dollars(amount)  # type: ignore[arg-type]


def test_a_misspelt_or_negative_price_field_is_named() -> None:
    """The message says which field, so that an operator finds the line."""
    with pytest.raises(ValueError, match="unknown price field inputs"):
        price_from_dollars({"inputs": 1})
    with pytest.raises(ValueError, match="output: not an amount"):
        price_from_dollars({"output": -1})
    with pytest.raises(ValueError, match="per_request is -5"):
        Price(per_request=-5)


def test_the_operators_price_wins_then_the_published_then_the_flat_rate() -> None:
    """One order of truth, and the winner's name stays with the price."""
    own = price_for("perplexity", "sonar", "chat", {"input": 9}, 0.2)
    published = price_for("perplexity", "sonar", "chat", None, 0.2)
    flat = price_for("perplexity", "somebody/else", "agent", None, 0.2)
    assert [p.source for p in (own, published, flat) if p] == ["price", "overlay", "cost_per_1k_tokens"]


def test_an_unknown_price_is_none_and_only_local_work_is_free() -> None:
    """The specification's default of 0 per 1,000 tokens does not make a paid service free."""
    assert price_for("openai_direct", "gpt-x", cost_per_1k_tokens=0.0) is None
    assert price_for("lightrag") is None
    assert price_for("openai_direct", "gpt-x", "", {"input": 0, "output": 0}) == Price()
    for kind in ("local_llm", "function"):
        assert price_for(kind) == Price(source="local")


def test_a_metered_cost_beats_every_price_and_no_price_is_no_cost() -> None:
    """Metered, priced, estimated, unknown: in that order, with its name."""
    price = price_from_dollars({"input": 1, "per_search": 0.005})
    asked = Usage(input_tokens=1000)
    guessed = Usage(input_tokens=1000, estimated=True)
    assert settled_cost(price, asked, 42) == Bill(42, CostSource.METERED, METERED)
    assert settled_cost(price, asked) == Bill(1_000_000, CostSource.PRICED, "price")
    assert settled_cost(price, guessed) == Bill(6_000_000, CostSource.ESTIMATED, "price")
    assert settled_cost(None, asked) is None
    assert settled_cost(price, Usage(requests=0, estimated=True)) == Bill(0, CostSource.ESTIMATED, "price")


@given(prices, usages, st.integers(0, 10**13))
def test_an_upstreams_absurd_bill_is_not_believed_but_kept(price: Price, usage: Usage, metered: int) -> None:
    """Up to twenty times what we expect, or half a dollar more, its word is taken; beyond it, ours, with its claim."""
    most = 20 * (cost_of(price, usage) + price.allowance) + 500_000_000
    bill = settled_cost(price, usage, metered)
    assert bill is not None
    if metered <= most:
        assert bill == Bill(metered, CostSource.METERED, METERED)
    else:
        assert (bill.cost, bill.claimed) == (cost_of(price, usage), metered)
        assert bill.source is CostSource.PRICED


def test_without_a_price_a_claim_of_a_million_dollars_is_no_cost_either() -> None:
    """Nobody knows what is right, but nobody's answer costs more than a thousand dollars."""
    assert settled_cost(None, Usage(), 999 * 10**9) == Bill(999 * 10**9, CostSource.METERED, METERED)
    assert settled_cost(None, Usage(), 1_000_001 * 10**9) is None


def test_a_long_prompt_is_billed_whole_at_its_dearer_price() -> None:
    """Tiers are cliffs: the first token beyond the bound makes all of them dearer, and the reservation knows it."""
    price = Price(input=10**9, output=10**9, above=Price(input=2 * 10**9, output=3 * 10**9), above_tokens=200_000)
    assert cost_of(price, Usage(input_tokens=200_000)) == 200_000_000
    assert cost_of(price, Usage(input_tokens=200_001, output_tokens=1)) == 400_002_000 + 3_000
    assert expected_cost(price, 200_001, 0) == 400_002_000
    assert worst_case(price, 190_000, 10) >= cost_of(price, Usage(input_tokens=218_000, output_tokens=10))


def test_fees_of_other_tools_are_added() -> None:
    """A page fetched is half a tenth of a cent, a sandbox three cents, and what has no fee costs nothing."""
    fees = agent_tool_fee("fetch_url") * 2 + agent_tool_fee("sandbox") + agent_tool_fee("mcp")
    assert cost_of(Price(), Usage(fees=fees)) == 31_000_000


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_longer_text_is_never_fewer_tokens(text: str, more: str) -> None:
    """Monotone, zero only for nothing, and the same for a text as for its number of bytes."""
    assert estimate_tokens(text) <= estimate_tokens(text + more)
    assert (estimate_tokens(text) == 0) == (text == "")
    assert estimate_tokens(text) == estimate_tokens(len(text.encode()))


def test_a_ratio_learns_a_backends_own_tokens() -> None:
    """After forty reports of 2 bytes a token the estimate is within 5 %."""
    ratio = TokenRatio()
    assert ratio.estimate(3500) == 1000
    for _ in range(40):
        ratio.observe("ab" * 500, 500)
    assert abs(ratio.estimate(2000) - 1000) <= 50


@given(st.lists(st.tuples(st.integers(-5, 10**7), st.integers(-5, 10**7)), max_size=50))
def test_no_false_report_drives_a_ratio_out_of_reason(reports: list[tuple[int, int]]) -> None:
    """One to eight bytes a token whatever is claimed."""
    ratio = TokenRatio()
    for size, tokens in reports:
        ratio.observe(size, tokens)
    assert 1.0 <= ratio.bytes_per_token <= 8.0
