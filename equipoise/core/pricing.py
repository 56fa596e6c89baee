"""What an answer costs, in whole nano-dollars: prices, the cost of a usage, what to expect and what to reserve.

Token rates are nano-dollars per million tokens, so that every published price is a whole number: $0.0625 per million
is 62_500_000 and $0.20 per thousand is 200_000_000_000. Arithmetic is on integers and rounds up once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, TypeAlias

import msgspec

from equipoise.core.model import NANO_PER_USD, CostSource, NanoUSD, Usage

NanoUSDPerMillion: TypeAlias = int
MILLION = 1_000_000

# Token counts are estimates before the answer is there; the reservation takes this much more of the input.
MARGIN_PERCENT = 115
# Binary floats carry noise far below this many dollars; without the cut 0.1 + 0.2 would round up to one nano too many.
NOISE = Decimal("1e-12")
_EXACT = Context(prec=60)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one backend bills for one model.

    Rates are nano-dollars per million tokens, fees nano-dollars. Cached tokens are part of the input tokens and cost
    `cached_input` (None: as other input). With `reasoning` set, reasoning tokens are billed beside the output tokens;
    None means they are part of them. Citation tokens are free unless `citation` is set. `allowance` is what one question
    is expected to cost in things no caller can foresee (searches, hidden reasoning). A question of more than
    `above_tokens` input tokens is billed whole by the price `above`. `source` names where this is from.
    """

    input: NanoUSDPerMillion = 0
    output: NanoUSDPerMillion = 0
    cached_input: NanoUSDPerMillion | None = None
    reasoning: NanoUSDPerMillion | None = None
    citation: NanoUSDPerMillion | None = None
    per_request: NanoUSD = 0
    per_search: NanoUSD = 0
    allowance: NanoUSD = 0
    source: str = "price"
    above: Price | None = None
    above_tokens: int = 0

    def __post_init__(self) -> None:
        for name in PRICE_FIELDS:
            if (amount := getattr(self, name)) is not None and amount < 0:
                raise ValueError(f"a price cannot be negative: {name} is {amount}")

    def at(self, input_tokens: int) -> Price:
        """The price of a question of this length."""
        return self if self.above is None or input_tokens <= self.above_tokens else self.above.at(input_tokens)


TOKEN_RATES = ("input", "output", "cached_input", "reasoning", "citation")
FEES = ("per_request", "per_search", "allowance")
PRICE_FIELDS = TOKEN_RATES + FEES


def nano_dollars(amount: Decimal | str | float) -> NanoUSD:
    """Turn dollars as people and JSON write them into nano-dollars, rounded up; a float counts as its shortest decimal.

    Raises ValueError for what is no finite, non-negative number.
    """
    try:
        dollars = Decimal(str(amount))
    except ArithmeticError:
        raise ValueError(f"not an amount of money: {amount!r}") from None
    if isinstance(amount, bool) or not dollars.is_finite() or dollars < 0:
        raise ValueError(f"not an amount of money: {amount!r}")
    if dollars > MILLION * NANO_PER_USD:
        raise ValueError(f"too much money: {amount!r}")
    return int((dollars.quantize(NOISE, context=_EXACT) * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def price_from_dollars(option: Mapping[str, Any], source: str = "price") -> Price:
    """Read an operator's `price:`: token rates in dollars per million tokens, fees in dollars.

    A price per search without an `allowance` expects one search a question. Raises ValueError naming a bad field.
    """
    if unknown := sorted(set(option) - set(PRICE_FIELDS)):
        raise ValueError(f"unknown price field {', '.join(unknown)}; known: {', '.join(PRICE_FIELDS)}")
    amounts: dict[str, Any] = {name: _amount(name, value) for name, value in option.items() if value is not None}
    amounts.setdefault("allowance", amounts.get("per_search", 0))
    return Price(**amounts, source=source)


def _amount(name: str, value: Any) -> int:
    try:
        return nano_dollars(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def cost_of(price: Price, usage: Usage) -> NanoUSD:
    """The price of a reported usage, rounded up to the next nano-dollar; counts below zero count as zero."""
    price = price if price.above is None else price.at(usage.input_tokens)
    cached, output, reasoning = usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens
    fresh = usage.input_tokens - cached if cached > 0 else usage.input_tokens
    scaled = fresh * price.input if fresh > 0 else 0
    if cached > 0:
        scaled += cached * (price.input if price.cached_input is None else price.cached_input)
    if price.reasoning is None and reasoning > output:
        output = reasoning
    elif price.reasoning is not None and reasoning > 0:
        scaled += reasoning * price.reasoning
    if output > 0:
        scaled += output * price.output
    if price.citation and usage.citation_tokens > 0:
        scaled += usage.citation_tokens * price.citation
    return _fees(price, usage) - (-scaled // MILLION)


def _fees(price: Price, usage: Usage) -> NanoUSD:
    fees = usage.requests * price.per_request if usage.requests > 0 else 0
    if usage.fees > 0:
        fees += usage.fees
    if usage.searches > 0:
        fees += usage.searches * price.per_search
    return fees


def expected_cost(price: Price, input_tokens: int, output_tokens: int) -> NanoUSD:
    """What a question of this size should cost, with nothing cached and the usual allowance; cheap enough to rank by."""
    price = price if price.above is None else price.at(input_tokens)
    return (
        price.per_request + price.allowance - (-(input_tokens * price.input + output_tokens * price.output) // MILLION)
    )


def worst_case(price: Price, input_tokens: int, max_output_tokens: int, allowance: NanoUSD | None = None) -> NanoUSD:
    """What to reserve: estimated input with a margin at its dearest rate, all the output allowed, fees and allowance.

    Never less than `expected_cost`, nor than `cost_of` any usage within these counts whose searches, citations and
    separate reasoning stay within the allowance. `allowance` replaces the price's own (a learned bound).
    """
    most_input = -(-input_tokens * MARGIN_PERCENT // 100)
    if price.above is not None and most_input > price.above_tokens:
        return max(
            worst_case(msgspec.structs.replace(price, above=None), input_tokens, max_output_tokens, allowance),
            worst_case(price.above, input_tokens, max_output_tokens, allowance),
        )
    dearest = max(price.input, price.cached_input or 0)
    scaled = most_input * dearest + max_output_tokens * price.output
    extra = price.allowance if allowance is None else allowance
    return price.per_request + extra - (-scaled // MILLION)


class Bill(msgspec.Struct, frozen=True, gc=False):
    """What an attempt cost, how that is known, by whose word, and what its upstream claimed if it was not believed."""

    cost: NanoUSD
    source: CostSource
    price: str
    claimed: NanoUSD | None = None


METERED = "metered"
_PRICED = CostSource.PRICED
# An upstream that bills a thousandfold by mistake (a unit mixed up, a sum in cents) must not empty a budget; hidden
# searches and reasoning may well cost several times what we expect. Believed: up to twenty times, or 50 cents more.
MOST_TIMES = 20
MOST_BESIDE: NanoUSD = NANO_PER_USD // 2
MOST_UNPRICED: NanoUSD = 1000 * NANO_PER_USD


def believable(price: Price | None, usage: Usage, metered: NanoUSD) -> bool:
    """Is this an amount an answer of this usage can have cost? Without a price only the absurd is refused."""
    if price is None:
        return metered <= MOST_UNPRICED
    return metered <= MOST_TIMES * (cost_of(price, usage) + price.allowance) + MOST_BESIDE


def settled_cost(price: Price | None, usage: Usage, metered: NanoUSD | None = None) -> Bill | None:
    """The cost of an attempt and its origin: metered by the upstream if that can be true, else priced, else estimated.

    An estimated usage that names no searches or reasoning of its own is charged the allowance. None when nobody knows a
    price: the caller must say so, never book zero in silence.
    """
    if metered is not None and believable(price, usage, metered):
        return Bill(metered, CostSource.METERED, METERED)
    if price is None:
        return None
    if not usage.estimated:
        return Bill(cost_of(price, usage), _PRICED, price.source, metered)
    unforeseen = 0 if usage.searches or usage.reasoning_tokens or not usage.requests else price.allowance
    return Bill(cost_of(price, usage) + unforeseen, CostSource.ESTIMATED, price.source, metered)


# ---- token counts before anybody reports them -------------------------------------------------------------------------

# English prose has about 4 bytes of UTF-8 a token in today's vocabularies, code and other scripts 2.5 to 3.5.
BYTES_PER_TOKEN = 3.5
_NARROWEST, _WIDEST = 1.0, 8.0


def size_of(text: str | int) -> int:
    """Bytes of UTF-8 in a text; a number is taken as bytes already counted."""
    if isinstance(text, int):
        return text if text > 0 else 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(text: str | int, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """About how many tokens a text (or a number of bytes of UTF-8) is; 0 only for nothing."""
    return math.ceil(size_of(text) / bytes_per_token)


class TokenRatio:
    """Learns one backend's bytes per token from the usage it reports.

    A quotient of two decaying sums, so a long text counts for more than a short one, whose template tokens would
    mislead; kept within 1 to 8 bytes, so that no single false report spoils it. `decay` is the weight left to the past
    by one report; the start is worth 200 tokens at the usual ratio.
    """

    def __init__(self, bytes_per_token: float = BYTES_PER_TOKEN, *, decay: float = 0.98) -> None:
        self._tokens = 200.0
        self._bytes = self._tokens * bytes_per_token
        self._decay = decay

    @property
    def bytes_per_token(self) -> float:
        return self._bytes / self._tokens

    def estimate(self, text: str | int) -> int:
        """About how many of this backend's tokens a text (or a number of bytes) is."""
        return estimate_tokens(text, self.bytes_per_token)

    def observe(self, text: str | int, reported_tokens: int) -> None:
        """Learn from one report; one that counts nothing teaches nothing."""
        size = text if type(text) is int else size_of(text)
        if size <= 0 or reported_tokens <= 0:
            return
        believable = size / reported_tokens
        if not _NARROWEST <= believable <= _WIDEST:
            believable = _NARROWEST if believable < _NARROWEST else _WIDEST
        self._bytes = self._bytes * self._decay + size
        self._tokens = self._tokens * self._decay + size / believable
