"""The body of an Agent API request, read strictly, and Perplexity's errors."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.http import Request
from equipoise.sandbox.knowledge import tokens
from equipoise.sandbox.script import Refusal, Script, Turn, bearer, document, phrase

PRESETS = ("fast", "low", "medium", "high", "xhigh", "fast-search", "pro-search", "deep-research")
PRESET_TOKENS = 1_200
"""About what a preset's own instructions add to the input."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every field that perplexityai 0.46.1 may send; any other one is an error."""

    input: str | list[dict[str, Any]]
    model: str | None = None
    models: list[str] | None = None
    preset: str | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_steps: int | None = None
    step_budget_reminder: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    effort: str | None = None
    reasoning: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    language_preference: str | None = None
    previous_response_id: str | None = None
    profile: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    skills: list[dict[str, Any]] | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None

    @property
    def model_name(self) -> str | None:
        """The model that will answer; None when the preset decides."""
        return self.models[0] if self.models else self.model

    @property
    def question(self) -> str:
        """The last words of the user."""
        if isinstance(self.input, str):
            return self.input
        turns = [item for item in self.input if item.get("role") == "user"]
        return _text(turns[-1].get("content")) if turns else ""

    @property
    def input_tokens(self) -> int:
        """An estimate over instructions, history and question."""
        spoken = self.input if isinstance(self.input, str) else "".join(_text(i.get("content")) for i in self.input)
        return tokens(spoken + (self.instructions or "")) + (PRESET_TOKENS if self.preset else 0)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, dict))


def parsed(body: bytes) -> Asked:
    """The request, or Refusal with a 400 that names what is wrong."""
    try:
        asked = msgspec.json.decode(body, type=Asked)
    except msgspec.DecodeError as error:
        raise refused(400, f"Invalid request: {error}", "invalid_request") from error
    _check_model(asked)
    _check_limits(asked)
    if not asked.question.strip():
        raise refused(400, "input must contain a user message", "invalid_request")
    return asked


def _check_model(asked: Asked) -> None:
    if not (asked.model_name or asked.preset):
        raise refused(400, "One of model, models or preset is required", "invalid_request")
    if asked.preset and asked.preset not in PRESETS:
        raise refused(400, f"Invalid preset '{asked.preset}'", "invalid_preset")
    if asked.model_name and "/" not in asked.model_name:
        message = f"Invalid model '{asked.model_name}'. Models are named provider/model."
        raise refused(400, message, "invalid_model")


def _check_limits(asked: Asked) -> None:
    if asked.models and len(asked.models) > 5:
        raise refused(400, "models may name at most 5 models", "invalid_request")
    if asked.max_steps is not None and not 1 <= asked.max_steps <= 100:
        raise refused(400, "max_steps must lie between 1 and 100", "invalid_request")
    if asked.max_output_tokens is not None and asked.max_output_tokens < 1:
        raise refused(400, "max_output_tokens must be positive", "invalid_request")


def web_search(asked: Asked) -> str | None:
    """The context size of the web search that will run, or None when the request allows no search."""
    for tool in asked.tools or ():
        if tool.get("type") == "web_search":
            size = tool.get("search_context_size", "low")
            return size if size in ("low", "medium", "high") else "low"
    return "medium" if asked.preset and not asked.tools else None


def authenticated(request: Request, turn: Turn) -> None:
    """Raise Refusal with a 401 unless the bearer key is right."""
    if turn.profile.api_key and bearer(request) != turn.profile.api_key:
        raise refused(401, "Invalid API key provided. You can find your API key in the settings.", "invalid_api_key")


def failure(status: int, name: str = "") -> Script:
    """An error in Perplexity's words."""
    kind = phrase(status).lower().replace(" ", "_")
    message = phrase(status) if status != 429 else "Request rate limit exceeded, please try again later."
    return document({"error": {"message": message, "type": kind, "code": status}}, status=status)


def refused(status: int, message: str, kind: str) -> Refusal:
    """A refusal with Perplexity's error body."""
    return Refusal(document({"error": {"message": message, "type": kind, "code": status}}, status=status))
