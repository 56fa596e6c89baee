"""One upstream's memory: breaker, load, health, limits, price and quality; it makes the Candidate."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from equipoise.core.bound import Bound
from equipoise.core.breaker import BreakerOptions, BreakerState, CircuitBreaker, Permit
from equipoise.core.health import Health
from equipoise.core.inner import InnerCalls
from equipoise.core.limit import ConcurrencyLimit, RateLimit
from equipoise.core.load import Average, Load
from equipoise.core.model import (
    NANO_PER_USD,
    BackendType,
    Candidate,
    Chance,
    NanoUSD,
    Outcome,
    Request,
    Usage,
    Verdict,
    dollars,
)
from equipoise.core.pricing import BYTES_PER_TOKEN, MARGIN_PERCENT, Price, TokenRatio, expected_cost, worst_case
from equipoise.core.quality import Quality

REFUSED_SECONDS = 300.0
THROTTLED_SECONDS = 5.0
LONGEST_COOL_DOWN = 3600.0
HIDDEN_TOKENS = {BackendType.LIGHTRAG: 5000}  # retrieved passages and prompts, until an answer has shown how many
BOUNDED = (BackendType.OPENAI_DIRECT, BackendType.LOCAL_LLM, BackendType.PERPLEXITY)
"""Kinds that obey `max_tokens`; what others may answer is learned."""
UNKNOWN_PRICE: NanoUSD = NANO_PER_USD  # what cannot be priced is feared, not hoped for
EMBEDDINGS = "embeddings"
LLM_VIA = "llm_via"
"""The word for a graph whose cost is that of its own questions through us."""
UNSUPPORTED = "invalid_request_error"
"""The code for what this backend will never do, however often it is asked."""


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator said of one backend, as plain values; seconds, tokens, shares in [0, 1].

    `llm_via` names the routes by which a graph's own model is asked through us. `context_tokens` is the longest prompt
    plus answer; `corpus` labels the documents behind a RAG server: backends with
    the same label are replicas of each other.
    """

    id: str
    type: BackendType
    model: str = ""
    weight: float = 1.0
    priority: int = 1
    region: str | None = None
    corpus: str | None = None
    llm_via: tuple[str, ...] = ()
    price: Price | None = None
    quality: float = 1.0
    reliability: float = 1.0
    expected_seconds: float = 1.0
    timeout: float = 30.0
    supports: frozenset[str] = frozenset()
    context_tokens: int | None = None
    max_concurrent: int | None = None
    per_minute: int | None = None
    probe_threshold: int = 3
    breaker: BreakerOptions = BreakerOptions()


class Backend:
    """What is known of one backend; told of every attempt, asked for a Candidate."""

    def __init__(self, options: BackendOptions, chance: Chance, now: float = 0.0) -> None:
        self.options, self.id = options, options.id
        self.weight = options.weight
        self.breaker = CircuitBreaker(options.breaker, chance)
        self.load = Load(options.expected_seconds)
        self.health = Health(options.reliability, probe_threshold=options.probe_threshold, started=now)
        self.limit = ConcurrencyLimit(options.max_concurrent)
        self.rate = RateLimit(options.per_minute) if options.per_minute else None
        self.quality = Quality(options.quality)
        self.ratio, self.scale = TokenRatio(), 1.0
        self.inner = InnerCalls() if options.llm_via else None
        self._only_embeds = options.supports == {EMBEDDINGS}
        self.bound = Bound()
        self.hidden_tokens = Average(HIDDEN_TOKENS.get(options.type, 0))
        self.draining = False
        self.cooling_until = 0.0
        self.totals: dict[str, int] = dict.fromkeys(("requests", "cost", *Verdict), 0)
        self.last_verdict: Verdict | None = None

    def why_not(self, request: Request, now: float) -> str | None:
        """Why this backend may not be asked now, in words for people; None when it may."""
        return self.unwell(now) or self.unfit(request)

    def unwell(self, now: float) -> str | None:
        """Reasons that pass with time and do not depend on the question."""
        if self.draining:
            return "draining"
        breaker, health = self.breaker, self.health
        if breaker.state is not BreakerState.CLOSED and not breaker.allows(now):
            return f"circuit breaker {breaker.state}: {breaker.reason}"
        if health.down:
            return f"down by its health probes: {health.probe_error}"
        return self.room(now)

    def room(self, now: float) -> str | None:
        """Why it takes no more at this instant, however healthy: throttled, or at a limit."""
        maximum = self.limit.maximum
        if now < self.cooling_until:
            return f"throttled for {self.cooling_until - now:.1f} s more"
        if maximum is not None and self.load.in_flight >= maximum:
            return f"at its limit of {maximum} attempts at once"
        if self.rate is not None and self.rate.seconds_until_free(now) > 0:
            return f"at its limit of {self.rate.per_minute} requests a minute"
        return None

    def unfit(self, request: Request) -> str | None:
        """Reasons in the question itself: what it needs, how long it is, what it may cost."""
        options = self.options
        if self._only_embeds and EMBEDDINGS not in request.needs:
            return "makes embeddings only"
        if request.needs and not request.needs <= options.supports:
            return f"cannot do: {', '.join(sorted(request.needs - options.supports))}"
        if self._overflows(request):
            return f"the question needs more than its {options.context_tokens} tokens of context"
        if self._too_dear(request) and options.price is None:
            return "nobody knows its price, and this request has a limit"
        if self._too_dear(request):
            return f"would cost ${dollars(self.expected_cost(request))}, above the limit of this request"
        return None

    def refusal_code(self, request: Request, now: float) -> str:
        """The error code that fits why this backend may not be asked."""
        if not request.needs <= self.options.supports or (self._only_embeds and EMBEDDINGS not in request.needs):
            return UNSUPPORTED
        if self._overflows(request):
            return "context_length_exceeded"
        if self._too_dear(request):
            return "budget_exceeded"
        well = self.breaker.allows(now) and not self.health.down and not self.draining
        return "rate_limit_exceeded" if well and self.room(now) else "no_healthy_backend"

    def _overflows(self, request: Request) -> bool:
        context = self.options.context_tokens
        return context is not None and request.input_tokens + request.output_tokens > context

    def _too_dear(self, request: Request) -> bool:
        return request.max_cost is not None and self.expected_cost(request) > request.max_cost

    def expected_cost(self, request: Request) -> NanoUSD:
        """What this question is expected to cost here, in nano-dollars."""
        price, inner = self.options.price, self.inner
        if inner is not None and inner.seen:
            return int(inner.usual.value)
        if price is None or price.source == LLM_VIA:
            return UNKNOWN_PRICE
        return expected_cost(price, self.input_tokens(request), self.load.expected_tokens(request.output_tokens))

    def worst_case(self, request: Request) -> tuple[NanoUSD | None, int]:
        """The most this question should cost here, and take in tokens; the cost is None when nobody knows the price.

        Estimated input with a margin, all the output allowed (or learned, where the backend has no bound), fees.
        """
        read, bound = self.input_tokens(request), self.bound
        most = request.output_tokens
        if not most or self.options.type not in BOUNDED:
            most = max(most, bound.tokens)
        tokens = -(-read * MARGIN_PERCENT // 100) + most
        price = self.options.price
        if price is None:
            return None, tokens
        cost = worst_case(price, read, most)
        return (cost if bound.excess_percent == 100 else cost * bound.excess_percent // 100), tokens

    def input_tokens(self, request: Request) -> int:
        """What the backend will read for this question: its own tokens and what the engine adds behind the scenes."""
        return int(request.input_tokens * self.scale + self.hidden_tokens.value)

    def calibrated(self, usage: Usage) -> Usage:
        """An estimated usage in this backend's own tokens; a reported one is the truth as it is."""
        if not usage.estimated:
            return usage
        counts = (round(usage.input_tokens * self.scale), round(usage.output_tokens * self.scale))
        return msgspec.structs.replace(usage, input_tokens=counts[0], output_tokens=counts[1])

    def compared(self, estimated: Usage, measured: Usage) -> None:
        """Learn from what an estimated usage really was."""
        guess, real = (usage.input_tokens + usage.output_tokens for usage in (estimated, measured))
        self.counted(round(guess * BYTES_PER_TOKEN), real)

    def counted(self, text_bytes: int, tokens: int) -> None:
        """Learn from a reported number of tokens how this backend counts."""
        self.ratio.observe(text_bytes, tokens)
        self.scale = BYTES_PER_TOKEN / self.ratio.bytes_per_token

    def candidate(self, request: Request, now: float, money: float = 0.0) -> Candidate:
        """This backend as numbers, at this instant, for this question; `money` is what a nano-dollar is worth in quality."""
        load, quality, health = self.load, self.quality.of(request.kind), self.health
        cost = self.expected_cost(request)
        return Candidate(
            self.id,
            self.weight,
            load.in_flight,
            self.limit.value,
            health.value(now),
            load.peak * (load.in_flight + 1),
            load.completion(load.expected_tokens(request.output_tokens)),
            cost,
            quality.mean,
            quality.error,
            quality.low,
            self.options.reliability,
            load.response_time.value,
            health.success.value,
            self.weight,
            load.seconds_per_token.value,
            money * cost,
        )

    def began(self, now: float, *, regardless: bool) -> Permit:
        """Count an attempt in; `regardless` of the breaker in panic. The permit goes back through `ended`."""
        permit = self.breaker.admit_anyway() if regardless else self.breaker.admit(now)
        if permit is None:
            raise RuntimeError(f"{self.id} was chosen though its breaker is {self.breaker.state}")
        self.load.in_flight += 1
        if self.rate is not None:
            self.rate.take(now)
        return permit

    def ended(self, permit: Permit, outcome: Outcome, now: float, kind: str | None = None) -> None:
        """Learn from one attempt at a kind of question; called exactly once for each `began`."""
        in_flight = self.load.in_flight
        self.load.in_flight -= 1
        self.totals["requests"] += 1
        self.totals[outcome.verdict] += 1
        self.totals["cost"] += outcome.cost
        if outcome.verdict is not Verdict.IGNORED:
            self.last_verdict = outcome.verdict
        match outcome.verdict:
            case Verdict.SUCCESS:
                self._answered(permit, outcome, in_flight, now)
                self.quality.replied(answered=True, kind=kind)
            case Verdict.FAILURE:
                self._failed(permit, outcome, now)
            case Verdict.THROTTLED:
                self.breaker.forgotten(permit)
                self._throttled(outcome, now)
            case Verdict.REFUSED:
                self.breaker.forgotten(permit)
                self.breaker.refuse(now, outcome.error or "key or quota refused", REFUSED_SECONDS)
            case Verdict.NO_ANSWER:
                self.breaker.forgotten(permit)
                self.quality.replied(answered=False, kind=kind)
            case Verdict.IGNORED:
                self.breaker.forgotten(permit)

    def drain(self) -> None:
        """Give this backend no new attempts; those in flight end as they will."""
        self.draining = True

    def resume(self, now: float) -> None:
        """Take the backend back, with a slow start."""
        self.draining = False
        self.health.recovered(now)

    def inherit(self, previous: Backend) -> None:
        """Remember what a backend of the same id did before its options were changed; attempts under way end in both.

        A limit or breaker that was configured anew begins anew.
        """
        self.load, self.health, self.quality = previous.load, previous.health, previous.quality
        self.ratio, self.scale, self.hidden_tokens = previous.ratio, previous.scale, previous.hidden_tokens
        if self.options.llm_via == previous.options.llm_via:
            self.inner = previous.inner
        self.bound = previous.bound
        self.totals, self.cooling_until, self.draining = previous.totals, previous.cooling_until, previous.draining
        self.last_verdict = previous.last_verdict
        if self.options.weight == previous.options.weight:
            self.weight = previous.weight
        if self.options.breaker == previous.options.breaker:
            self.breaker = previous.breaker
        if self.options.per_minute == previous.options.per_minute:
            self.rate = previous.rate
        if self.options.max_concurrent == previous.options.max_concurrent:
            self.limit = previous.limit

    def seconds_until_free(self, now: float) -> float:
        """When it may be worth asking again: the longest of its pauses, infinite when only an operator can tell."""
        if self.draining or self.breaker.held_open:
            return math.inf
        rate = self.rate.seconds_until_free(now) if self.rate else 0.0
        return max(self.cooling_until - now, self.breaker.seconds_until_probe(now), rate, 0.0)

    def status(self, now: float) -> dict[str, Any]:
        """One row of the table that people look at; times in seconds, money in dollars."""
        load, totals = self.load, self.totals
        return {
            "id": self.id,
            "type": self.options.type.value,
            "model": self.options.model,
            "status": self.health.status.value,
            "why_not": self.unwell(now),
            "breaker": {"state": self.breaker.state.value, "reason": self.breaker.reason, **self.breaker.counts},
            "in_flight": load.in_flight,
            "limit": round(self.limit.value, 1),
            "weight": self.weight,
            "priority": self.options.priority,
            "health": round(self.health.value(now), 4),
            "success_rate": round(self.health.success.value, 4),
            "response_time": round(load.response_time.value, 4),
            "first_token": round(load.first_token.value, 4),
            "seconds_per_token": round(load.seconds_per_token.value, 6),
            "quality": round(self.quality.mean, 4),
            "quality_by_kind": {kind: round(own.mean, 4) for kind, own in self.quality.kinds.items()},
            "requests": totals["requests"],
            "errors": totals[Verdict.FAILURE] + totals[Verdict.REFUSED],
            "no_answers": totals[Verdict.NO_ANSWER],
            "cost_usd": dollars(totals["cost"]),
            "last_probe": self.health.probed_at,
            "draining": self.draining,
        }

    def _answered(self, permit: Permit, outcome: Outcome, in_flight: int, now: float) -> None:
        was = self.breaker.state
        tokens = outcome.usage.output_tokens
        self.breaker.succeeded(permit, outcome.duration, now)
        if was is BreakerState.HALF_OPEN and self.breaker.state is BreakerState.CLOSED:
            self.health.recovered(now)
        self.health.attempted(success=True)
        self.bound.answered(tokens)
        self.load.completed(outcome.duration, outcome.first_token, tokens, now)
        if outcome.text_bytes and not outcome.usage.estimated:
            self.counted(outcome.text_bytes, tokens - outcome.usage.reasoning_tokens)
        if tokens:
            self.limit.answered(outcome.duration / tokens, in_flight)

    def read(self, request: Request, tokens: int) -> None:
        """Learn from a reported (or well estimated) number of input tokens how many the engine adds."""
        if tokens:
            self.hidden_tokens.add(max(0.0, tokens - request.input_tokens * self.scale))

    def _failed(self, permit: Permit, outcome: Outcome, now: float) -> None:
        self.breaker.failed(permit, now, outcome.error or "failures")
        self.health.attempted(success=False)
        if outcome.sent and outcome.status is None:
            self.limit.overloaded()

    def _throttled(self, outcome: Outcome, now: float) -> None:
        pause = THROTTLED_SECONDS if outcome.retry_after is None else min(outcome.retry_after, LONGEST_COOL_DOWN)
        self.cooling_until = max(self.cooling_until, now + pause)
        self.limit.overloaded()
