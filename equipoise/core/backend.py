"""One upstream's memory: breaker, load, health, limits, price and quality; it makes the Candidate."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from equipoise.core.bound import Bound
from equipoise.core.breaker import CLOSED, HALF_OPEN, BreakerOptions, CircuitBreaker, Permit, cause_of
from equipoise.core.data_classes import NOT_ALLOWED, forbidden
from equipoise.core.health import SLOW_START_SECONDS, Health
from equipoise.core.inner import InnerCalls
from equipoise.core.limit import ConcurrencyLimit, RateLimit, Taken, TokenLimit
from equipoise.core.load import Average, Load
from equipoise.core.model import (
    NANO_PER_USD,
    BackendType,
    Candidate,
    Chance,
    NanoUSD,
    Outcome,
    Request,
    Verdict,
    dollars,
)
from equipoise.core.pace import Pace
from equipoise.core.pricing import BYTES_PER_TOKEN, MARGIN_PERCENT, Price, TokenRatio, expected_cost, worst_case
from equipoise.core.quality import Quality
from equipoise.core.row import row_of
from equipoise.core.silence import Silence

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
KEPT_WITH = {
    "llm_via": "inner", "weight": "weight", "breaker": "breaker",
    "per_minute": "rate", "tokens_per_minute": "tokens", "max_concurrent": "limit",
}  # fmt: skip
"""Options, and what is remembered for as long as they stay the same."""
_SUCCESS, _IGNORED = Verdict.SUCCESS, Verdict.IGNORED
UNSUPPORTED = "invalid_request_error"
"""The code for what this backend will never do, however often it is asked."""


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator said of one backend, as plain values; seconds, tokens, shares in [0, 1].

    `llm_via` names the routes by which a graph's own model is asked through us. `context_tokens` is the longest prompt
    plus answer; `corpus` labels the documents behind a RAG server: backends with the same label are replicas of each
    other. `allows` names the data classes it may be shown; a question without a class is nobody's secret.
    """

    id: str
    type: BackendType
    model: str = ""
    weight: float = 1.0
    priority: int = 1
    region: str | None = None
    corpus: str | None = None
    llm_via: tuple[str, ...] = ()
    allows: frozenset[str] = frozenset()
    price: Price | None = None
    quality: float = 1.0
    reliability: float = 1.0
    expected_seconds: float = 1.0
    timeout: float = 30.0
    supports: frozenset[str] = frozenset()
    context_tokens: int | None = None
    max_concurrent: int | None = None
    per_minute: int | None = None
    tokens_per_minute: int | None = None
    probe_threshold: int = 3
    breaker: BreakerOptions = BreakerOptions()


class Backend:
    """What is known of one backend; told of every attempt, asked for a Candidate."""

    def __init__(self, options: BackendOptions, chance: Chance, now: float = 0.0) -> None:
        self.options, self.id, self.type = options, options.id, options.type.value
        self.weight = options.weight
        self.breaker = CircuitBreaker(options.breaker, chance)
        self.load = Load(options.expected_seconds)
        self.health = Health(options.reliability, probe_threshold=options.probe_threshold, started=now)
        self.limit = ConcurrencyLimit(options.max_concurrent)
        self.rate = RateLimit(options.per_minute) if options.per_minute else None
        self.tokens = TokenLimit(options.tokens_per_minute) if options.tokens_per_minute else None
        self.pace, self.silence = Pace(options.expected_seconds), Silence.of(options.type)
        self.quality = Quality(options.quality)
        self.ratio, self.scale = TokenRatio(), 1.0
        self.inner = InnerCalls() if options.llm_via else None
        self._only_embeds = options.supports == {EMBEDDINGS}
        self._price = None if options.price is None or options.price.source == LLM_VIA else options.price
        self._choosy = self._only_embeds or options.context_tokens is not None or self.tokens is not None
        self.bound = Bound()
        self.hidden_tokens = Average(HIDDEN_TOKENS.get(options.type, 0))
        self.draining = False
        self.cooling_until = 0.0
        self.totals: dict[str, int] = dict.fromkeys(("requests", "cost", *Verdict), 0)
        self.last_verdict: Verdict | None = None

    def free(self, request: Request, now: float) -> bool:
        """Is there nothing at all to look into? Asked first, of each backend in each decision; True only where neither
        `unfit` nor `unwell` nor `cold` has anything against it."""
        limit, rate, durations = self.limit, self.rate, self.load.durations
        return (
            self.breaker.state is CLOSED
            and not (self._choosy or self.draining or self.health.down)
            and not (request.needs or request.data_classes)
            and request.max_cost is None
            and now - self.health.since >= SLOW_START_SECONDS
            and now >= limit.binding_until
            and now >= self.cooling_until
            and (rate is None or len(rate.times) < rate.places)
            and (now > durations.known_until or request.deadline - now >= durations.usual or request.output_tokens > 0)
        )

    def why_not(self, request: Request, now: float) -> str | None:
        """Why this backend may not be asked now, in words for people; None when it may."""
        return self.unwell(now) or self.unfit(request, now)

    def unwell(self, now: float) -> str | None:
        """Reasons that pass with time and do not depend on the question."""
        if self.draining:
            return "draining"
        breaker, health = self.breaker, self.health
        if breaker.state is not CLOSED and not breaker.allows(now):
            return f"circuit breaker {breaker.state}: {breaker.reason}"
        if health.down:
            return f"down by its health probes: {health.probe_error}"
        limited = self.rate is not None or now < self.limit.binding_until or now < self.cooling_until
        return self.room(now) if limited else None

    def room(self, now: float) -> str | None:
        """Why it takes no more at this instant, however healthy: throttled, or at a limit."""
        if now < self.cooling_until:
            return f"throttled for {self.cooling_until - now:.1f} s more"
        if now < self.limit.binding_until and self.load.in_flight >= self.limit.cap(now):
            return f"at its limit of {self.limit.cap(now):.0f} attempts at once"
        if self.rate is not None and self.rate.seconds_until_free(now) > 0:
            return f"at its limit of {self.rate.per_minute} requests a minute"
        return None

    def cold(self, now: float) -> str | None:
        """Does it have enough to do for one that has just come back? Its places grow from one within half a minute."""
        since = now - self.health.since
        if since >= SLOW_START_SECONDS:
            return None
        places = max(1.0, self.limit.value * since / SLOW_START_SECONDS)
        return f"slow start: {places:.0f} attempts at once" if self.load.in_flight >= places else None

    def full(self, request: Request, now: float) -> bool:
        """Is there no more against it than that it has all the attempts at once that it takes?"""
        held_back = self.load.in_flight >= self.limit.cap(now) and now >= self.cooling_until
        return held_back and self.well(now) and self.unfit(request, now) is None and not self._waits(request, now)

    def well(self, now: float) -> bool:
        """Neither ill nor taken out by an operator."""
        return self.breaker.allows(now) and not self.health.down and not self.draining

    def unfit(self, request: Request, now: float) -> str | None:
        """Reasons in the question itself: who may see it, what it needs, its length, what it may cost, how soon it is due."""
        if (why := self._unable(request)) is not None:
            return why
        if request.max_cost is not None and (cost := self.expected_cost(request)) > request.max_cost:
            if self.options.price is None:
                return "nobody knows its price, and this request has a limit"
            return f"would cost ${dollars(cost)}, above the limit of this request"
        if self.tokens is not None and self.tokens.seconds_until_free(self.tokens_needed(request), now) > 0:
            return f"at its limit of {self.tokens.per_minute} tokens a minute"
        if self._too_late(request, now):
            return f"usually takes {self.load.durations.median(now):.1f} s, and {request.deadline - now:.1f} s are left"
        return None

    def _unable(self, request: Request) -> str | None:
        """Reasons that no time and no money removes."""
        options = self.options
        if request.data_classes and (why := forbidden(request.data_classes, options.allows)) is not None:
            return why
        if self._only_embeds and EMBEDDINGS not in request.needs:
            return "makes embeddings only"
        if request.needs and not request.needs <= options.supports:
            return f"cannot do: {', '.join(sorted(request.needs - options.supports))}"
        if self._overflows(request):
            return f"the question needs more than its {options.context_tokens} tokens of context"
        return None

    def refusal_code(self, request: Request, now: float) -> str:
        """The error code that fits why this backend may not be asked."""
        if not request.data_classes <= self.options.allows:
            return NOT_ALLOWED
        if not request.needs <= self.options.supports or (self._only_embeds and EMBEDDINGS not in request.needs):
            return UNSUPPORTED
        if self._overflows(request):
            return "context_length_exceeded"
        if request.max_cost is not None and self.expected_cost(request) > request.max_cost:
            return "budget_exceeded"
        if not self.well(now):
            return "no_healthy_backend"
        if self._too_late(request, now):
            return "deadline_too_short"
        return "rate_limit_exceeded" if self.room(now) or self._waits(request, now) else "no_healthy_backend"

    def _waits(self, request: Request, now: float) -> float:
        """Seconds until its tokens a minute allow this question."""
        return self.tokens.seconds_until_free(self.tokens_needed(request), now) if self.tokens else 0.0

    def _too_late(self, request: Request, now: float) -> bool:
        """Would most of its answers come after the deadline? Not asked of one that is to be cut short."""
        median = self.load.durations.median(now)
        return median is not None and request.deadline - now < median and not request.output_tokens

    def tokens_needed(self, request: Request) -> int:
        """What a question may use of the tokens a minute: what is read, and the most (else the usual) that is written."""
        return self.input_tokens(request) + request.answers * (request.output_tokens or self.load.usual_tokens)

    def _overflows(self, request: Request) -> bool:
        context = self.options.context_tokens
        return context is not None and request.input_tokens + request.output_tokens > context

    def expected_cost(self, request: Request) -> NanoUSD:
        """What this question is expected to cost here, in nano-dollars."""
        return self._cost_of(request, self.load.expected_tokens(request.output_tokens))

    def _cost_of(self, request: Request, written: int) -> NanoUSD:
        price, inner = self._price, self.inner
        if inner is not None and inner.seen:
            return int(inner.usual.value)
        if price is None:
            return UNKNOWN_PRICE
        return expected_cost(price, self.input_tokens(request), request.answers * written)

    def worst_case(self, request: Request) -> tuple[NanoUSD | None, int]:
        """The most this question should cost here, and take in tokens; the cost is None when nobody knows the price.

        Estimated input with a margin, all the output allowed (or learned, where the backend has no bound), fees.
        """
        read, bound, most = self.input_tokens(request), self.bound, request.output_tokens
        if not most or self.options.type not in BOUNDED:
            most = max(most, bound.tokens)
        tokens = -(-read * MARGIN_PERCENT // 100) + (most := most * request.answers)
        price = self.options.price
        if price is None:
            return None, tokens
        cost = worst_case(price, read, most)
        return (cost if bound.excess_percent == 100 else cost * bound.excess_percent // 100), tokens

    def input_tokens(self, request: Request) -> int:
        """What the backend will read for this question: its own tokens and what the engine adds behind the scenes."""
        return int(request.input_tokens * self.scale + self.hidden_tokens.value)

    def counted(self, text_bytes: int, tokens: int) -> None:
        """Learn from a reported number of tokens how this backend counts."""
        self.ratio.observe(text_bytes, tokens)
        self.scale = BYTES_PER_TOKEN / self.ratio.bytes_per_token

    def candidate(self, request: Request, now: float, money: float = 0.0) -> Candidate:
        """This backend as numbers, at this instant, for this question; `money` is what a nano-dollar is worth in quality."""
        load, quality, health = self.load, self.quality, self.health
        quality = quality.kinds.get(request.kind, quality)
        in_flight, per_token = load.in_flight, load.seconds_per_token.value
        written, most = load.usual_tokens, request.output_tokens
        if 0 < most < written:
            written = most
        price, read = self._price, int(request.input_tokens * self.scale + self.hidden_tokens.value)
        if price is None or self.inner is not None:
            cost = self._cost_of(request, written)
        else:
            cost = expected_cost(price, read, request.answers * written)
        steady = not health.probe_failures and now - health.since >= SLOW_START_SECONDS
        return Candidate(
            self.id, self.weight, in_flight, self.limit.value, health.bound if steady else health.value(now),
            load.peak * (in_flight + 1), load.first_token.value + written * per_token, cost,
            quality.mean, quality.error, quality.low, self.options.reliability,
            load.response_time.value, health.success.value, self.weight, per_token, money * cost, self.type,
        )  # fmt: skip

    def began(self, now: float, *, regardless: bool) -> Permit:
        """Count an attempt in; `regardless` of the breaker in panic. The permit goes back through `ended`."""
        breaker = self.breaker
        permit: Permit | None = breaker.generation
        if breaker.state is not CLOSED:
            permit = breaker.admit_anyway() if regardless else breaker.admit(now)
        if permit is None:
            raise RuntimeError(f"{self.id} was chosen though its breaker is {self.breaker.state}")
        self.load.in_flight += 1
        if self.rate is not None:
            self.rate.take(now)
        return permit

    def take_tokens(self, request: Request, now: float) -> Taken | None:
        """Count what a question may use of the tokens a minute; corrected when it is known."""
        return self.tokens.take(self.tokens_needed(request), now) if self.tokens is not None else None

    def ended(self, permit: Permit, outcome: Outcome, now: float, kind: str | None = None) -> None:
        """Learn from one attempt at a kind of question; called exactly once for each `began`."""
        load, verdict, totals = self.load, outcome.verdict, self.totals
        in_flight = load.in_flight
        load.in_flight = in_flight - 1
        totals["requests"] += 1
        totals[verdict] += 1
        totals["cost"] += outcome.cost
        if verdict is not _IGNORED:
            self.last_verdict = verdict
        if verdict is _SUCCESS:
            self._answered(permit, outcome, in_flight, now)
            self.quality.replied(answered=True, kind=kind)
            return
        match verdict:
            case Verdict.FAILURE:
                self._failed(permit, outcome, now)
            case Verdict.THROTTLED:
                self.breaker.forgotten(permit)
                self._throttled(outcome, now)
            case Verdict.REFUSED:
                self.breaker.forgotten(permit)
                self.breaker.refuse(now, outcome.error or "key or quota refused", REFUSED_SECONDS)
            case Verdict.NO_ANSWER:
                self.quality.replied(answered=False, kind=kind)
                self.breaker.said_nothing(permit, now, gone_silent=self.silence.replied(answered=False))
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

        A limit or breaker that was configured anew begins anew (`KEPT_WITH`).
        """
        self.load, self.health, self.quality = previous.load, previous.health, previous.quality
        self.ratio, self.scale, self.hidden_tokens = previous.ratio, previous.scale, previous.hidden_tokens
        self.bound, self.pace, self.silence = previous.bound, previous.pace, previous.silence
        self.totals, self.cooling_until, self.draining = previous.totals, previous.cooling_until, previous.draining
        self.last_verdict = previous.last_verdict
        for option, memory in KEPT_WITH.items():
            if getattr(self.options, option) == getattr(previous.options, option):
                setattr(self, memory, getattr(previous, memory))

    def seconds_until_free(self, request: Request, now: float) -> float:
        """When it may be worth asking again: the longest of its pauses, infinite when only an operator can tell."""
        if self.draining or self.breaker.held_open:
            return math.inf
        rate = self.rate.seconds_until_free(now) if self.rate else 0.0
        tokens = self._waits(request, now)
        return max(self.cooling_until - now, self.breaker.seconds_until_probe(now), rate, tokens, 0.0)

    def status(self, now: float) -> dict[str, Any]:
        """One row of the table that people look at; times in seconds, money in dollars."""
        return row_of(self, now)

    def _answered(self, permit: Permit, outcome: Outcome, in_flight: int, now: float) -> None:
        breaker, usage, duration, first_token = self.breaker, outcome.usage, outcome.duration, outcome.first_token
        was, slow, tokens = breaker.state, breaker.slow, usage.output_tokens
        breaker.succeeded(permit, self.pace.answered(duration, first_token, tokens), now)
        if was is HALF_OPEN and breaker.state is CLOSED:
            self.health.recovered(now)  # back with a slow start
            if slow:  # one that was out for being slow is believed to be as fast as it is now
                self.pace.accept()
        self.health.attempted(success=True)
        self.bound.answered(tokens)
        self.silence.replied(answered=True)
        self.load.completed(duration, first_token, tokens, now)
        if outcome.text_bytes and not usage.estimated:
            self.counted(outcome.text_bytes, tokens - usage.reasoning_tokens)
        self.limit.answered(duration, tokens, in_flight)

    def read(self, request: Request, tokens: int) -> None:
        """Learn from a reported (or well estimated) number of input tokens how many the engine adds."""
        if tokens:
            hidden = tokens - request.input_tokens * self.scale
            self.hidden_tokens.add(hidden if hidden > 0.0 else 0.0)

    def _failed(self, permit: Permit, outcome: Outcome, now: float) -> None:
        self.breaker.failed(permit, now, outcome.error or "failures", cause_of(outcome))
        self.health.attempted(success=False)
        if outcome.sent and outcome.error_code == "upstream_timeout":
            self.limit.overloaded(now - outcome.duration, now)

    def _throttled(self, outcome: Outcome, now: float) -> None:
        pause = THROTTLED_SECONDS if outcome.retry_after is None else min(outcome.retry_after, LONGEST_COOL_DOWN)
        self.cooling_until = max(self.cooling_until, now + pause)
        self.limit.overloaded(now - outcome.duration, now)
