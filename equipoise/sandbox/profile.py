"""The character of a sandbox backend: how fast, how dear, how knowing."""

from __future__ import annotations

import math
import random

import msgspec

from equipoise.core.model import NanoUSD


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Times are seconds, prices nano-dollars a token (150 is $0.15 per million) or a call.

    `jitter` is the standard deviation of the logarithm of each request's slowness; `library` and `depth` say what the
    backend knows. Prices are what the backend puts on its own bill, shown by `GET /__stats`.
    """

    name: str
    kind: str
    model: str
    library: str
    first_token: float
    per_token: float
    jitter: float = 0.2
    depth: int = 3
    input_price: NanoUSD = 0
    output_price: NanoUSD = 0
    call_price: NanoUSD = 0
    api_key: str = "sandbox"
    context_tokens: int = 128_000
    seed: int = 1

    def cost(self, input_tokens: int, output_tokens: int, calls: int = 1) -> NanoUSD:
        """The bill of one answer."""
        return input_tokens * self.input_price + output_tokens * self.output_price + calls * self.call_price


class Pace:
    """The rhythm of one answer: slow answers are slow from the first token to the last."""

    def __init__(self, profile: Profile, chance: random.Random) -> None:
        slowness = math.exp(chance.gauss(0.0, profile.jitter))
        self.first = profile.first_token * slowness
        self._per_token = profile.per_token * slowness

    def writing(self, token_count: int) -> float:
        """Seconds it takes to write so many tokens."""
        return token_count * self._per_token


FLEET: tuple[Profile, ...] = (
    Profile(
        name="graph_deep",
        kind="lightrag",
        model="gpt-4o-mini",
        library="metabolomics",
        first_token=0.35,
        per_token=0.0016,
        input_price=150,
        output_price=600,
    ),
    Profile(
        name="graph_quick",
        kind="lightrag",
        model="llama3.2:3b",
        library="notebook",
        depth=1,
        first_token=0.12,
        per_token=0.001,
        input_price=40,
        output_price=60,
    ),
    Profile(
        name="web_search",
        kind="perplexity",
        model="perplexity/sonar",
        library="web",
        first_token=0.5,
        per_token=0.002,
        jitter=0.35,
        input_price=250,
        output_price=2_500,
        call_price=5_000_000,
    ),
    Profile(
        name="general_llm",
        kind="openai",
        model="gpt-4o-mini",
        library="training",
        first_token=0.1,
        per_token=0.003,
        input_price=150,
        output_price=600,
    ),
)
"""The default four: a slow thorough graph, a quick small one, a dear web search, a cheap general model."""


def seeded(seed: int) -> tuple[Profile, ...]:
    """The default four, each with a seed of its own."""
    return tuple(msgspec.structs.replace(profile, seed=seed * 100 + i) for i, profile in enumerate(FLEET))
