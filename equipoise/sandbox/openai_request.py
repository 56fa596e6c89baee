"""The body of a chat request, read as strictly as OpenAI reads it, with OpenAI's errors and headers."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.http import Request
from equipoise.sandbox.knowledge import tokens
from equipoise.sandbox.script import Field, Refusal, Script, Turn, bearer, document, phrase

REQUESTS_A_MINUTE = 10_000
TOKENS_A_MINUTE = 2_000_000


class Chat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The documented fields; any other one is an error, as at OpenAI."""

    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    prediction: dict[str, Any] | None = None
    modalities: list[str] | None = None
    web_search_options: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @property
    def question(self) -> str:
        """The last words of the user."""
        return next((_text(m.get("content")) for m in reversed(self.messages) if m.get("role") == "user"), "")

    @property
    def input_tokens(self) -> int:
        """An estimate over all messages, with four for the frame of each."""
        return sum(4 + tokens(_text(message.get("content"))) for message in self.messages)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if isinstance(part, dict))


def parsed(body: bytes, turn: Turn) -> Chat:
    """The request, or Refusal with OpenAI's error for what is wrong with it."""
    chat = _decoded(body)
    if not chat.messages:
        raise refused(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    if chat.model != turn.profile.model:
        message = f"The model `{chat.model}` does not exist or you do not have access to it."
        raise refused(404, message, code="model_not_found")
    if chat.stream_options and not chat.stream:
        raise refused(
            400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    _check_length(chat, turn.profile.context_tokens)
    return chat


def _decoded(body: bytes) -> Chat:
    try:
        return msgspec.json.decode(body, type=Chat)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except msgspec.DecodeError as error:
        raise refused(400, "We could not parse the JSON body of your request.") from error


def _invalid(message: str) -> Refusal:
    if "unknown field" in message:
        field = message.split("`")[1]
        return refused(400, f"Unrecognized request argument supplied: {field}")
    if "missing required field" in message:
        field = message.split("`")[1]
        return refused(400, f"Missing required parameter: '{field}'.", param=field, code="missing_required_parameter")
    return refused(400, f"Invalid type: {message}", code="invalid_type")


def _check_length(chat: Chat, limit: int) -> None:
    if chat.input_tokens > limit:
        message = (
            f"This model's maximum context length is {limit} tokens. However, your messages resulted in "
            f"{chat.input_tokens} tokens. Please reduce the length of the messages."
        )
        raise refused(400, message, param="messages", code="context_length_exceeded")


def authenticated(request: Request, turn: Turn) -> None:
    """Raise Refusal with a 401 unless the bearer key is right."""
    key = bearer(request)
    if not turn.profile.api_key or key == turn.profile.api_key:
        return
    if not key:
        raise refused(401, "You didn't provide an API key.")
    raise refused(401, f"Incorrect API key provided: {key[:3]}***.", code="invalid_api_key")


def failure(status: int, name: str = "") -> Script:
    """An error in OpenAI's words."""
    if status == 429:
        return _error(429, "Rate limit reached for requests.", "requests", code="rate_limit_exceeded")
    if status < 500:
        return _error(status, phrase(status), "invalid_request_error")
    return _error(status, "The server had an error while processing your request.", "server_error")


def refused(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """A refusal that is the caller's fault."""
    return Refusal(_error(status, message, "invalid_request_error", param=param, code=code))


def _error(status: int, message: str, kind: str, *, param: str | None = None, code: str | None = None) -> Script:
    return document({"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status)


def limits(turn: Turn, used: int) -> tuple[Field, ...]:
    """Headers about what is left of this minute, and the request's id."""
    fields = {
        "x-request-id": turn.identifier("req_"),
        "openai-processing-ms": str(round(1000 * turn.pace.first)),
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": str(REQUESTS_A_MINUTE),
        "x-ratelimit-remaining-requests": str(REQUESTS_A_MINUTE - 1),
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": str(TOKENS_A_MINUTE),
        "x-ratelimit-remaining-tokens": str(max(0, TOKENS_A_MINUTE - used)),
        "x-ratelimit-reset-tokens": f"{max(1, used * 60_000 // TOKENS_A_MINUTE)}ms",
    }
    return tuple((name.encode(), value.encode()) for name, value in fields.items())
