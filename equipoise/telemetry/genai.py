"""The names of OpenTelemetry's conventions for generative AI that we use (semantic-conventions-genai, in development)."""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
ERROR: Final = "error.type"
STATUS: Final = "http.response.status_code"
CHAT: Final = "chat"

BACKEND: Final = "equipoise.backend"
STRATEGY: Final = "equipoise.strategy"
ROUTE: Final = "equipoise.route"
VERDICT: Final = "equipoise.verdict"
ATTEMPT: Final = "equipoise.attempt"
ATTEMPTS: Final = "equipoise.attempts"
COST: Final = "equipoise.cost_usd"
COST_SOURCE: Final = "equipoise.cost_source"
REQUEST_ID: Final = "equipoise.request_id"

PROVIDERS: Final = {"openai_direct": "openai", "perplexity": "perplexity"}
"""Well-known names; other kinds of backend go by their own."""
