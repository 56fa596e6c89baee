"""The contract between the request path and an upstream: answer, or raise a classified error; never decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeAlias

import msgspec

from equipoise.core.model import Answer, Request, Usage, Verdict


class BackendError(Exception):
    """An attempt that gave no answer, classified by content (wire-level causes are in `__cause__`).

    `retry_after` is seconds; `sent` is False only when the upstream cannot have seen the request; `status` is the
    upstream's HTTP status if there was one; `usage` and `metered_cost` are what may have been billed all the same;
    `client_error` holds the upstream's own error object when the fault is the caller's, so that he can be told.
    The message may repeat what an upstream said, and with it the question: it is for the caller alone. `plain` is the
    same without a word of the upstream's, for everybody and everything else: stores, logs, alerts, other callers.
    """

    def __init__(
        self,
        verdict: Verdict,
        message: str,
        *,
        code: str = "upstream_error",
        status: int | None = None,
        retry_after: float | None = None,
        sent: bool = True,
        usage: Usage | None = None,
        metered_cost: int | None = None,
        client_error: dict[str, Any] | None = None,
        plain: str | None = None,
    ) -> None:
        super().__init__(message)
        self.plain = message if plain is None else plain
        self.verdict, self.code, self.status, self.retry_after = verdict, code, status, retry_after
        self.sent, self.usage, self.metered_cost, self.client_error = sent, usage, metered_cost, client_error


class TextDelta(msgspec.Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """A piece of the model's visible reasoning."""

    text: str


class ToolCallDelta(msgspec.Struct, frozen=True):
    """Pieces of tool calls in OpenAI's `delta.tool_calls` form."""

    tool_calls: list[dict[str, Any]]


class Relayed(msgspec.Struct, frozen=True, gc=False):
    """Whole SSE events in OpenAI's chat form, exactly as the upstream sent them, to be passed on undecoded.

    The upstream's usage chunk and its `[DONE]` are never in here: they come decoded, in `Finished`.
    """

    data: bytes


class Finished(msgspec.Struct, frozen=True):
    """The last item of every stream that ended well: the whole answer's bookkeeping.

    After relayed events `answer.text` may be empty: it was never decoded.
    """

    answer: Answer


StreamItem: TypeAlias = TextDelta | ReasoningDelta | ToolCallDelta | Relayed | Finished


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a health probe found; `details` holds only what the upstream said.

    `completed` is False where no answer came at all; `usage` is what a probe that is not free has used.
    """

    healthy: bool
    seconds: float
    details: dict[str, Any] = {}
    error: str | None = None
    completed: bool = True
    usage: Usage | None = None


class BackendClient(Protocol):
    """One upstream, spoken to in its own dialect.

    `send` and `stream` raise BackendError; asyncio.CancelledError passes through after the connection was closed.
    `stream` is an async generator: its first item comes only after the upstream really began to answer, so that
    failing over stays possible until then; closing it closes the upstream connection. A stream that is cut, stalls,
    turns malformed or ends without its terminator raises BackendError, never ends quietly.
    `timeout` is the number of seconds left for this attempt.
    """

    async def send(self, request: Request, timeout: float) -> Answer: ...

    def stream(self, request: Request, timeout: float) -> AsyncIterator[StreamItem]: ...

    async def probe(self) -> ProbeResult: ...

    async def close(self) -> None: ...
