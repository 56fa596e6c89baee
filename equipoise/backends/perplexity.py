"""Perplexity's agent API (`POST /v1/agent`): typed events, sources as output items, the bill in every answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, Final

import msgspec

from equipoise.backends import citations
from equipoise.backends.base import Finished, ProbeResult, StreamItem, TextDelta, ToolCallDelta
from equipoise.backends.billing import decode_exactly
from equipoise.backends.classify import Blame, malformed, rejected, reported
from equipoise.backends.errors import UNREADABLE, error_of
from equipoise.backends.perplexity_reply import answer_from, cost_of, tool_call, usage_of
from equipoise.backends.perplexity_request import OPERATOR_FIELDS, SEARCH_OPTIONS, agent_body
from equipoise.backends.probing import probed
from equipoise.backends.sse import Event, SSEDecoder
from equipoise.backends.transport import Patience, Spent, Upstream, endpoint, header_list, read_to_end
from equipoise.core.model import Answer, Question, Request
from equipoise.http import ClientResponse, Pool

ORIGIN: Final = "https://api.perplexity.ai"
MODEL: Final = "perplexity/sonar"

TOLD_IN_HEADERS: Final = (
    ("api_version", b"api-version"),
    ("rate_limit_remaining", b"x-ratelimit-remaining"),
    ("rate_limit_remaining", b"x-ratelimit-remaining-requests"),
)
"""What a reply may say of itself beside its body; not promised by the API's documentation."""

ENDINGS: Final = frozenset(
    {"response.completed", "response.incomplete", "response.cancelled", "response.failed", "response.requires_action"}
)
"""Events after which nothing comes; there is no [DONE]."""


class PerplexityClient:
    """One account at Perplexity, asked through the agent API.

    `model` ("provider/name") or `preset` says who answers; both together pin a preset's model. `options` are body
    fields and search options the operator sets; ValueError for one that the API would refuse.
    """

    def __init__(
        self,
        endpoint_url: str = ORIGIN,
        *,
        api_key: str | None = None,
        model: str | None = None,
        preset: str | None = None,
        options: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        pool: Pool | None = None,
        patience: Patience | None = None,
        probe_timeout: float = 5.0,
        probe_path: str | None = None,
    ) -> None:
        self._options = dict(options or {})
        if unknown := self._options.keys() - OPERATOR_FIELDS - SEARCH_OPTIONS:
            raise ValueError(f"Perplexity's agent API has no option {', '.join(sorted(unknown))}")
        self._choice = {name: value for name, value in (("model", model), ("preset", preset)) if value}
        if not self._choice and "effort" not in self._options:
            self._choice["model"] = MODEL
        origin, base = endpoint(endpoint_url, version=True)
        self._blame = Blame(who="Perplexity", secret=api_key or "", own_body=True)
        self._upstream = upstream(origin, api_key, headers, pool, patience, self._blame)
        self._target, self._models, self._probe_timeout = f"{base}/agent", f"{base}/models", probe_timeout
        self._probe_path = probe_path

    async def send(self, request: Request, timeout: float) -> Answer:
        """Ask and wait for the whole answer; `status: failed` in a 200 is a failure."""
        response = await self._post(request, timeout)
        return answer_from(decoded(await self._upstream.read(response), self._blame), self._blame, request.input_tokens)

    async def stream(self, request: Request, timeout: float) -> AsyncGenerator[StreamItem, None]:
        """Ask for the answer in pieces; sources, usage and cost come with the last event."""
        response = await self._post(request, timeout)
        reading = AgentStream(self._blame, request.input_tokens)
        with closing(response), self._upstream.reading(reading.spent):
            async for piece in response:
                for item in reading.feed(piece):
                    yield item
                if reading.answer is not None:
                    break
            last = reading.finish()
            await read_to_end(response)
        for item in last:
            yield item

    async def probe(self) -> ProbeResult:
        """List the models: free, but open to anyone, so it proves that the API is there and nothing about the key."""
        return await probe_models(self._upstream, self._models, self._probe_timeout, self._blame, self._probe_path)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _post(self, request: Request, timeout: float) -> ClientResponse:
        body = agent_body(request.question, self._choice, self._options)
        blame = msgspec.structs.replace(
            self._blame, own_fields=_ours(body, request.question), own_body=not shaped_by_client(request.question)
        )
        return await self._upstream.post(
            self._target,
            msgspec.json.encode(body),
            timeout,
            trace=request.trace,
            repeat=request.repeatable,
            streamed=request.question.stream,
            blame=blame,
        )


def _ours(body: Mapping[str, Any], question: Question) -> frozenset[str]:
    """The fields of a body that the client had no part in."""
    his = {"input", "instructions", "max_output_tokens", "response_format", "tool_choice"}
    his |= question.extra.keys() | question.options.keys()
    if question.tools or question.extra.keys() & (SEARCH_OPTIONS | {"tools"}):
        his.add("tools")
    return frozenset(body.keys() - his)


def shaped_by_client(question: Question) -> bool:
    """Whether anything but the conversation of a body is the client's."""
    return bool(question.extra or question.options or question.tools or question.response_format)


def upstream(
    origin: str,
    api_key: str | None,
    headers: Mapping[str, str] | None,
    pool: Pool | None,
    patience: Patience | None,
    blame: Blame,
) -> Upstream:
    """Perplexity's door, for either API."""
    own = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    keyed = {**own, "authorization": f"Bearer {api_key}"} if api_key else own
    return Upstream(origin, pool, header_list(keyed, headers), blame, patience or Patience())


async def probe_models(
    door: Upstream, target: str, timeout: float, blame: Blame, path: str | None = None
) -> ProbeResult:
    """Ask for the list of models, or at the operator's own path."""
    if path:
        return await probed(partial(door.answers_at, path, timeout))

    async def look() -> dict[str, Any]:
        status, headers, body = await door.look(target, timeout)
        if status != 200:
            raise rejected(status, {}, body, blame)
        return {"proves": "reachable", "key": "unknown", **_listed(body, blame), **_headers_told(headers)}

    return await probed(look)


def _listed(body: bytes, blame: Blame) -> dict[str, int]:
    """How many models the list names; nothing when it is no list."""
    models = decoded(body, blame).get("data")
    return {"models": len(models)} if isinstance(models, list) else {}


def _headers_told(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name: headers[header].decode("latin-1")[:80] for name, header in TOLD_IN_HEADERS if header in headers}


def decoded(data: bytes, blame: Blame) -> dict[str, Any]:
    """A JSON object with exact decimals; raises BackendError for anything else."""
    try:
        found = decode_exactly(data)
    except UNREADABLE as error:
        raise malformed("the reply is no JSON", blame) from error
    if not isinstance(found, dict):
        raise malformed("the reply is no JSON object", blame)
    return found


class AgentStream:
    """The events of one streamed answer; no IO. `answer` is there after the event that ended it."""

    def __init__(self, blame: Blame, input_tokens: int) -> None:
        self._blame, self._input_tokens = blame, input_tokens
        self._decoder = SSEDecoder()
        self._text: list[str] = []
        self._output: list[dict[str, Any]] = []
        self._reply: dict[str, Any] = {}
        self._calls = 0
        self.answer: Answer | None = None

    def feed(self, piece: bytes) -> list[StreamItem]:
        """Take the next bytes; return the pieces of the answer in them. Raises BackendError, EventTooLarge."""
        return [item for event in self._decoder.feed(piece) for item in self._event(event)]

    def finish(self) -> list[StreamItem]:
        """Tell that the stream ended; raises BackendError unless one of the four endings was seen."""
        items = [] if self.answer is not None else [i for event in self._decoder.finish() for i in self._event(event)]
        if self.answer is None:
            raise malformed("the stream ended before the response did", self._blame)
        return [*items, Finished(self.answer)]

    def spent(self) -> Spent:
        """What the answer has used so far."""
        return Spent(usage_of(self._reply, self._input_tokens, "".join(self._text)), cost_of(self._reply))

    def _event(self, event: Event) -> list[StreamItem]:
        if self.answer is not None or event.data == b"[DONE]":
            return []
        data = decoded(event.data, self._blame)
        kind = citations.text(data.get("type")) or event.name
        if kind == "error" or (kind == "message" and "error" in data):
            raise reported(error_of(data, self._blame.secret), self._blame)
        if kind in ENDINGS:
            return self._end(kind, data)
        return self._piece(kind, data)

    def _piece(self, kind: str, data: dict[str, Any]) -> list[StreamItem]:
        if isinstance(response := data.get("response"), dict):
            self._reply = response
        if kind == "response.output_text.delta" and isinstance(delta := data.get("delta"), str) and delta:
            self._text.append(delta)
            return [TextDelta(delta)]
        if kind == "response.output_item.done" and isinstance(item := data.get("item"), dict):
            return self._item(item)
        return []

    def _item(self, item: dict[str, Any]) -> list[StreamItem]:
        self._output.append(item)
        if item.get("type") != "function_call":
            return []
        self._calls += 1
        return [ToolCallDelta([tool_call(item, self._calls - 1)])]

    def _end(self, kind: str, data: dict[str, Any]) -> list[StreamItem]:
        """The last event repeats the whole response; what it leaves out is taken from the events before it."""
        given = data.get("response")
        status = kind.removeprefix("response.")
        reply = {"status": status, "output": self._output, **(given if isinstance(given, dict) else {})}
        reply["error"] = reply.get("error") or data.get("error")
        reply["output"] = reply["output"] or self._output
        if status in ("failed", "cancelled"):
            reply["status"] = status
        self.answer = answer_from(reply, self._blame, self._input_tokens, "".join(self._text))
        return self._unsaid(self.answer)

    def _unsaid(self, answer: Answer) -> list[StreamItem]:
        """What only the last event told: text that came without deltas, calls that came without items."""
        text: list[StreamItem] = [TextDelta(answer.text)] if answer.text and not self._text else []
        calls: list[StreamItem] = [ToolCallDelta(answer.tool_calls)] if answer.tool_calls and not self._calls else []
        return text + calls
