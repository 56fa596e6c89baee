"""A gateway's configuration for running sandbox backends."""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.sandbox.profile import Profile

KINDS = {"lightrag": "lightrag", "perplexity": "perplexity", "openai": "openai_direct"}
PATHS = {"lightrag": "", "perplexity": "", "openai": "/v1"}
BELIEVED_QUALITY = {"graph_deep": 0.92, "graph_quick": 0.75, "web_search": 0.88, "general_llm": 0.7}
"""What an operator may believe of the default four before answers have shown it."""


def backend_section(profile: Profile, url: str) -> str:
    """The entry of one backend under `backend_instances`."""
    lines = [
        f"  {profile.name}:",
        f"    backend_type: {KINDS[profile.kind]}",
        f"    endpoint_url: {url}{PATHS[profile.kind]}",
        f"    api_key: {profile.api_key}",
        f"    quality_score: {BELIEVED_QUALITY.get(profile.name, 0.8)}",
        f"    expected_response_time_ms: {max(1.0, 1000 * (profile.first_token + 100 * profile.per_token)):.0f}",
    ]
    return "\n".join([*lines, *_model_and_price(profile)])


def _model_and_price(profile: Profile) -> list[str]:
    """Perplexity says itself what it bills; a graph server says neither its model nor its cost."""
    model = [] if profile.kind == "lightrag" else [f"    model: {profile.model}"]
    if profile.kind == "perplexity":
        return model
    per_million = [f"{price / 1000:g}" for price in (profile.input_price, profile.output_price)]
    return [*model, f"    price: {{input: {per_million[0]}, output: {per_million[1]}}}"]


def configuration(urls: Mapping[str, str], profiles: tuple[Profile, ...], extra: str = "") -> str:
    """The whole file: `urls` by profile name; `extra` are more lines for every backend, indented by four."""
    sections = [backend_section(p, urls[p.name]) + extra for p in profiles]
    return "backend_instances:\n" + "\n".join(sections) + "\n"
