"""The vocabulary of the core: what is asked, who may answer, what was chosen and what happened.

Times are seconds (monotonic unless a name says otherwise), money is an integer number of nano-dollars.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from equipoise.core.gaps import Gaps
from equipoise.core.parts import Parts

NanoUSD: TypeAlias = int
NANO_PER_USD = 1_000_000_000


def dollars(amount: NanoUSD) -> str:
    """Write nano-dollars as exact decimal dollars: 1_500_000 is '0.001500000'."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{amount // NANO_PER_USD}.{amount % NANO_PER_USD:09d}"


class Clock(Protocol):
    """Time as a constructor argument: `monotonic` for durations, `wall` (Unix seconds) for people and calendars."""

    def monotonic(self) -> float: ...

    def wall(self) -> float: ...


Chance: TypeAlias = random.Random


class BackendType(enum.StrEnum):
    """The kinds of upstream; the first four are the specification's."""

    LIGHTRAG = "lightrag"
    PERPLEXITY = "perplexity"
    OPENAI_DIRECT = "openai_direct"
    LOCAL_LLM = "local_llm"
    FUNCTION = "function"


class Strategy(enum.StrEnum):
    """The name of a policy in a configuration."""

    ROUND_ROBIN = "round_robin"
    WEIGHTED = "weighted"
    HEALTH_AWARE = "health_aware"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    COST_OPTIMIZED = "cost_optimized"
    PERFORMANCE_BASED = "performance_based"
    ADAPTIVE_LEARNING = "adaptive_learning"
    QUALITY_BASED = "quality_based"


class Verdict(enum.StrEnum):
    """How an attempt ended, judged by its content.

    SUCCESS counts for a backend and FAILURE against it; NO_ANSWER is a 200 that answers nothing; THROTTLED asks to slow
    down; REFUSED is about a key or a quota; IGNORED is no evidence at all (cancelled, or the caller's mistake).
    """

    SUCCESS = "success"
    NO_ANSWER = "no_answer"
    FAILURE = "failure"
    THROTTLED = "throttled"
    REFUSED = "refused"
    IGNORED = "ignored"


class Urgency(enum.StrEnum):
    """Whose question comes first when there is not room for all, most urgent first."""

    INTERACTIVE = "interactive"
    BATCH = "batch"
    SHADOW = "shadow"


class CostSource(enum.StrEnum):
    """Where a cost comes from, most trustworthy first; `unpriced` says that nobody knows the price."""

    METERED = "metered"
    PRICED = "priced"
    ESTIMATED = "estimated"
    UNPRICED = "unpriced"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation in OpenAI's shape; `content` is text, a list of parts, or null beside tool calls."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The words of the turn; parts that are not text (images) are left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content or () if "text" in part)


class Question(msgspec.Struct):
    """What was asked, in one form whatever dialect it arrived in.

    `options` holds sampling fields every chat API knows (temperature, top_p, stop, seed, ...), `extra` the options of one engine (`extra_body`: LightRAG
    `mode`, Perplexity `search_recency_filter`, ...). `body` is the client's own body when it came in OpenAI's chat form, so that an OpenAI-compatible
    backend gets all of it, unknown fields included; `parts` are the fields of the body that was read, which hooks may have replaced. `embeddings` asks
    for the vectors of its messages instead of an answer; `tokens` counts input that came as tokens.
    """

    messages: list[Message]
    stream: bool = False
    max_tokens: int | None = None
    options: dict[str, Any] = {}
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    extra: dict[str, Any] = {}
    include_usage: bool = False
    body: bytes | None = None
    embeddings: bool = False
    tokens: int | None = None
    parts: Parts | None = None

    @property
    def whole_text(self) -> str:
        """The words of all turns."""
        return "\n".join(message.text for message in self.messages)

    @property
    def text(self) -> str:
        """The last words of the user: what a search engine or a graph is asked."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text
        return ""

    @property
    def system(self) -> str:
        """All system (or developer) instructions, joined."""
        return "\n\n".join(m.text for m in self.messages if m.role in ("system", "developer"))

    @property
    def history(self) -> list[Message]:
        """The turns before the last question, without instructions."""
        last = max((i for i, m in enumerate(self.messages) if m.role == "user"), default=len(self.messages))
        return [m for m in self.messages[:last] if m.role not in ("system", "developer")]


class Request(msgspec.Struct, frozen=True):
    """A question, sized and bounded: everything a decision may depend on.

    `output_tokens` is the most the caller wants of each of so many `answers` (0: no bound), `needs` what the backend must be able to do (tools, json,
    images), `repeatable` whether it may be asked twice, `trace` the trace headers to pass on, `role` which side of a
    migration answers, or "answer" where there is none; `key` names the key it came with, `budgets` those that key
    names, `data_classes` what kinds of data it holds, `parent` the request whose graph asks it, `joined` how that is
    known; `urgency` decides who waits and who is turned away in overload. `features` are what a learning strategy goes
    by (core/features.py), `prefix` stands for the beginning of the prompt where its route goes by that (core/prefix.py).
    """

    id: str
    question: Question
    route: str = "auto"
    strategy: str | None = None
    pinned: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    answers: int = 1
    needs: frozenset[str] = frozenset()
    min_quality: float = 0.0
    max_cost: NanoUSD | None = None
    deadline: float = float("inf")
    tenant: str = "default"
    session: str | None = None
    tags: tuple[str, ...] = ()
    kind: str = "general"
    features: tuple[float, ...] = ()
    repeatable: bool = True
    trace: tuple[tuple[bytes, bytes], ...] = ()
    key: str = ""
    budgets: tuple[str, ...] = ()
    urgency: Urgency = Urgency.INTERACTIVE
    data_classes: frozenset[str] = frozenset()
    prefix: int | None = None
    role: str = "answer"
    parent: str | None = None
    joined: str = ""


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One eligible backend at this instant, as numbers.

    `health` and the qualities lie in [0, 1]; `load` is the expected wait in seconds (peak-EWMA latency times in flight
    plus one); `completion` the expected seconds to the whole answer of this request; `limit` the concurrency at which
    the backend counts as hot; `penalty` what its cost is worth in quality while spending is paced (0 while it is not):
    who weighs quality subtracts it.
    """

    backend_id: str
    weight: float
    in_flight: int
    limit: float
    health: float
    load: float
    completion: float
    expected_cost: NanoUSD
    quality_mean: float
    quality_sd: float
    quality_low: float
    reliability: float
    response_time: float
    success_rate: float
    effective_weight: float
    seconds_per_token: float
    penalty: float = 0.0
    backend_type: str = ""


class Choice(msgspec.Struct, frozen=True):
    """What a policy answers: the chosen id, the score of each compared backend, and the probability of the choice.

    `probabilities` is the full vector when the policy is random (for replay); a deterministic policy leaves it empty
    and its probability is 1. `reason` is a short sentence for people.
    """

    backend_id: str
    scores: dict[str, float]
    reason: str
    probability: float = 1.0
    probabilities: dict[str, float] = {}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One choice with its grounds: who was compared, who was left out and why.

    `candidates` are those the policy saw; `sampled_from` is 0 when that was everybody eligible, otherwise how many they were drawn from. `compared` is what
    the strategy held each backend it compared to be worth, in its own unit. `panic` says that sick backends were let in because too few looked healthy.
    `scores` are the specification's of each candidate, by their names there; they decide nothing and are computed only when a decision is shown.
    """

    backend_id: str
    strategy: str
    route: str
    reason: str
    probability: float
    compared: dict[str, float]
    probabilities: dict[str, float]
    excluded: dict[str, str]
    candidates: tuple[Candidate, ...]
    kind: str = "general"
    panic: bool = False
    sampled_from: int = 0
    scores: dict[str, dict[str, float | None]] = {}


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one answer. `estimated` when the upstream reported none; `searches` counts billed web searches, `fees`
    are what other tools cost, in nano-dollars."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    citation_tokens: int = 0
    searches: int = 0
    requests: int = 1
    estimated: bool = False
    fees: NanoUSD = 0


class Citation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source of an answer: `index` counts from 1, as `[1]` in the text; a web page has a `url`, a document a `file`."""

    index: int
    title: str = ""
    url: str | None = None
    file: str | None = None
    snippet: str = ""
    date: str | None = None


class Answer(msgspec.Struct, kw_only=True):
    """One engine's answer, whatever the engine.

    `metered_cost` is what the upstream itself says it billed. `raw` is the upstream's body where it already has OpenAI's
    chat form. `contexts` are passages that came with the answer, for scoring only.
    """

    text: str = ""
    citations: list[Citation] = []
    usage: Usage = Usage(estimated=True)
    metered_cost: NanoUSD | None = None
    model: str = ""
    finish_reason: str = "stop"
    tool_calls: list[dict[str, Any]] | None = None
    reasoning: str | None = None
    contexts: list[str] = []
    raw: bytes | None = None
    upstream_id: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What happened to one attempt, as the core is told.

    `first_token` and `duration` are seconds from the attempt's start; `retry_after` is seconds to keep away; `sent` says whether the request may have
    reached the upstream (an unsent one may always be asked elsewhere). `cost` is settled money, `cost_source` says how it is known and `price_source` by
    whose word; `claimed_cost` is what an upstream said it billed where that was not believed. `text_bytes` is the length of its text, where seen whole.
    `inner_cost` is what a graph's own questions through us cost (booked in their own records), `joined` how it is known
    that they were this question's. `error` holds no word of the upstream's, which may repeat the question; `said` does: it
    is for the caller alone, and no event carries it.
    """

    verdict: Verdict
    duration: float
    first_token: float | None = None
    usage: Usage = Usage(requests=0)
    cost: NanoUSD = 0
    cost_source: CostSource = CostSource.ESTIMATED
    price_source: str = ""
    claimed_cost: NanoUSD | None = None
    text_bytes: int = 0
    inner_cost: NanoUSD = 0
    inner_calls: int = 0
    joined: str = ""
    error: str | None = None
    said: str | None = None
    error_code: str | None = None
    status: int | None = None
    retry_after: float | None = None
    sent: bool = True
    model: str = ""
    finish_reason: str | None = None
    citations: int = 0
    interrupted: bool = False
    client_error: dict[str, Any] | None = None
    gaps: Gaps | None = None


class Attempt(msgspec.Struct, frozen=True):
    """The record of one attempt: what the ledger stores and what replay needs."""

    request_id: str
    number: int
    wall: float
    tenant: str
    tags: tuple[str, ...]
    backend_id: str
    backend_type: str
    model: str
    stream: bool
    decision: Decision
    outcome: Outcome
    decision_seconds: float = 0.0
    question_hash: str = ""
    features: dict[str, float] = {}
    features_version: int = 1
    policy_version: str = ""
    config_hash: str = ""
    session: str | None = None
    role: str = "answer"
    key: str = ""
    question_tokens: int = 0
    parent: str | None = None


class Policy(Protocol):
    """Names one of a non-empty sequence of candidates; may keep a counter or a random generator, never a clock or IO."""

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice: ...


class NoBackendAvailable(Exception):
    """Nobody may answer: `reasons` says why for each backend, `retry_after` (seconds) when it is worth asking again.

    `short` says that a budget may have room again in a moment, `full` that somebody could answer as soon as one of the
    attempts there ends.
    """

    def __init__(
        self,
        reasons: Mapping[str, str],
        retry_after: float | None = None,
        code: str = "no_healthy_backend",
        *,
        short: bool = False,
        full: bool = False,
    ) -> None:
        self.reasons, self.retry_after, self.code = dict(reasons), retry_after, code
        self.short, self.full = short, full
        told = "; ".join(f"{name}: {why}" for name, why in self.reasons.items())
        super().__init__(told or "no backend is configured")
