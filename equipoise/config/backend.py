"""What an operator may say of one backend."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, model_validator

from equipoise.config.data_classes import DataClasses
from equipoise.config.fields import (
    Count,
    FilePath,
    NotNegative,
    Positive,
    Section,
    Share,
    Split,
    Text,
    Texts,
    Url,
    WholeNumber,
)
from equipoise.config.secret import Secret, veiled
from equipoise.core.model import BackendType

Ability = Literal["tools", "json", "images", "embeddings"]


class PriceConfig(Section):
    """Prices as the provider prints them: dollars per million tokens, dollars per request and per web search."""

    input: NotNegative = 0.0
    """USD per 1,000,000 input tokens."""
    output: NotNegative = 0.0
    """USD per 1,000,000 output tokens."""
    cached_input: NotNegative | None = None
    """USD per 1,000,000 input tokens read from the provider's cache; without it, cached tokens cost like others."""
    reasoning: NotNegative | None = None
    """USD per 1,000,000 reasoning tokens; without it, they cost like output."""
    citation: NotNegative | None = None
    """USD per 1,000,000 citation tokens (Perplexity deep research)."""
    per_request: NotNegative = 0.0
    """USD per request."""
    per_search: NotNegative = 0.0
    """USD per billed web search."""


class BackendConfig(Section):
    """One upstream that can answer. Its id is its key under `backend_instances`."""

    id: Text
    """The backend's name; taken from the key, and equal to it when written."""
    backend_type: BackendType
    """lightrag, perplexity, openai_direct, local_llm or function."""
    endpoint_url: Url | None = None
    """Where it listens. Perplexity and OpenAI have a default; a function has none."""
    api_key: Secret | None = None
    """Its key: ${VARIABLE}, file:/path or the value; else PERPLEXITY_API_KEY, LIGHTRAG_API_KEY or OPENAI_API_KEY."""
    weight: Positive = 1.0
    """Its share under the weighted strategies, relative to the others."""
    cost_per_1k_tokens: NotNegative | None = None
    """USD per 1,000 tokens, input and output alike; a fallback where neither metered costs nor `price` say more."""
    max_requests_per_minute: Count | None = None
    """Never more requests in any 60 seconds; without it there is no limit."""
    max_tokens_per_minute: Count | None = None
    """Never more tokens in any 60 seconds, read and written; what is not capped by `max_tokens` counts as usual."""
    timeout_seconds: Positive = 120.0
    """Seconds for one whole attempt."""
    health_check_path: Annotated[str, Field(pattern=r"^/[\x21-\x7e]*$")] | None = None
    """Path of its free health probe, where any success will do; without it (or with the kind's own, such as /health of
    LightRAG) the probe of this kind, which reads the answer."""
    deep_probe: bool = False
    """LightRAG: search the graph every five minutes, too; it costs an embedding, which is booked."""
    priority: WholeNumber = 1
    """Its tier: lower ones are asked first."""
    expected_response_time_ms: Positive = 1000.0
    """Milliseconds an answer is believed to take until answers have shown it."""
    quality_score: Share = 1.0
    """Quality believed until answers have shown it."""
    reliability_score: Share = 1.0
    """Share of good answers believed until answers have shown it."""
    circuit_breaker_enabled: bool = True
    """Whether failures stop it being asked for a while."""
    failure_threshold: Count = 5
    """Failures in a row that open its circuit breaker."""
    failure_rate_threshold: Share = 0.5
    """Share of the last 100 results within a minute that, failed, opens it as well; from ten on."""
    slow_call_factor: Positive = 3.0
    """Its last ten answers slower than usual by this factor, while others keep their pace, open it as well."""
    recovery_timeout_seconds: Positive = 60.0
    """Seconds until an open breaker lets a probe through; grows with repeated trips."""
    half_open_max_requests: Count = 3
    """Requests let through at once while it shows whether it is well again."""
    health_check_interval_seconds: Positive = 30.0
    """Seconds between free health probes."""
    health_check_timeout_seconds: Positive = 10.0
    """Seconds a health probe may take."""
    consecutive_failures_threshold: Count = 3
    """Health probes that must fail in a row before it counts as unhealthy."""

    model: Text | None = None
    """The model it is asked for; defaults: perplexity/sonar (api: agent), sonar (api: chat), gpt-4o-mini (OpenAI)."""
    preset: Text | None = None
    """Perplexity's preset (fast, low, medium, high, xhigh) instead of, or beside, a model."""
    api: Literal["agent", "chat"] = "agent"
    """Perplexity's dialect: the Agent API, or the older chat completions."""
    mode: Literal["local", "global", "hybrid", "naive", "mix", "bypass"] = "mix"
    """LightRAG's way of searching."""
    price: PriceConfig | None = None
    """What it charges, where the backend does not say so itself."""
    llm_via: Texts = ()
    """Routes by which this LightRAG server asks its own language model and embeddings through us, and nobody else."""
    allows: DataClasses = ()
    """Data classes it may be shown. Questions with a class go only where `allows` names it, those without one anywhere."""
    region: Text | None = None
    """Where it is."""
    corpus: Text | None = None
    """Label of the documents behind it: equal labels are replicas, another is only a declared fallback."""
    context_length: Count | None = None
    """Tokens of prompt and answer it takes; longer questions go elsewhere."""
    supports: Annotated[frozenset[Ability], Split] = frozenset()
    """What it can do: tools, json, images, embeddings; one that does only the last is asked for nothing else. Defaults:
    the first three for openai_direct, json for perplexity, else none."""
    max_concurrent_requests: Count | None = None
    """Never more requests at once; without it, a limit is learned from its pace."""
    first_byte_timeout_seconds: Positive = 60.0
    """Seconds until the first byte of an answer; an answer that is not streamed comes whole."""
    idle_timeout_seconds: Positive = 30.0
    """Seconds between two pieces of a streamed answer."""
    extra_body: Annotated[dict[str, Any], PlainSerializer(veiled, when_used="json")] = Field(
        default_factory=dict, repr=False
    )
    """Fields added to every request body (LightRAG top_k, Perplexity search_recency_filter ...)."""
    headers: dict[str, Secret] = Field(default_factory=dict)
    """Headers added to every request; values may be ${VARIABLE} or file:/path."""
    ca_file: FilePath | None = None
    """Certificate authorities (PEM) trusted for it instead of the system's."""
    function: Text | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
    """module:callable that answers (backend_type: function)."""
    drained: bool = False
    """Whether it gets no new questions."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_the_kind_implies(cls, data: Any) -> Any:
        return {**implied(data), **data} if isinstance(data, dict) else data


OPENAI = "https://api.openai.com/v1"
OPENAI_ABILITIES: tuple[Ability, ...] = ("tools", "json", "images")
IMPLIED: dict[str, dict[str, Any]] = {
    "lightrag": {},
    "perplexity": {"endpoint_url": "https://api.perplexity.ai", "supports": ("json",)},
    "openai_direct": {"endpoint_url": OPENAI, "supports": OPENAI_ABILITIES},
    "local_llm": {"first_byte_timeout_seconds": 120.0},
    "function": {},
}
KEY_VARIABLES = {"lightrag": "LIGHTRAG_API_KEY", "perplexity": "PERPLEXITY_API_KEY", "openai_direct": "OPENAI_API_KEY"}


def implied(data: dict[str, Any]) -> dict[str, Any]:
    """The defaults that follow from the kind of backend, for Perplexity from its dialect, for OpenAI from its address."""
    kind = str(data.get("backend_type", ""))
    found = dict(IMPLIED.get(kind, {}))
    if kind == "perplexity" and not data.get("preset"):
        found["model"] = "sonar" if data.get("api") == "chat" else "perplexity/sonar"
    if kind == "openai_direct" and str(data.get("endpoint_url", OPENAI)).startswith("https://api.openai.com"):
        found["model"] = "gpt-4o-mini"
    return found
