"""The wire format of Perplexity's Agent API: typed events or one document, metered to the token and the search."""

from __future__ import annotations

from typing import Any

import msgspec

from equipoise.core.model import NANO_PER_USD, NanoUSD
from equipoise.http import Request
from equipoise.sandbox.fact import Fact
from equipoise.sandbox.knowledge import cited, recalled, shortened, tokens, words
from equipoise.sandbox.perplexity_agent import Asked, authenticated, failure, parsed, refused, web_search
from equipoise.sandbox.script import EVENTS, Dialect, Piece, Route, Script, Turn, document
from equipoise.sandbox.sonar import chat_completions

AGENT_MODELS = ("perplexity/sonar", "openai/gpt-5-mini", "anthropic/claude-haiku-4-5", "google/gemini-3-flash")
RESULTS = {"low": 3, "medium": 5, "high": 8}
"""Search results by `search_context_size`."""


class Reply(msgspec.Struct, frozen=True):
    """One answer before it takes the form of a document or of events."""

    id: str
    model: str
    now: int
    query: str
    facts: list[Fact]
    searched: bool
    text: str
    message_id: str
    usage: dict[str, Any]
    cost: NanoUSD

    def response(self, status: str, output: list[dict[str, Any]], *, usage: bool = False) -> dict[str, Any]:
        """The response object at one moment of its life."""
        head = {"id": self.id, "object": "response", "created_at": self.now, "model": self.model}
        spent = {"usage": self.usage} if usage else {}
        return head | {"status": status, "background": False, "error": None, "output": output} | spent

    def output(self) -> list[dict[str, Any]]:
        """The finished items: what was found, then what was said."""
        searches = [self.search_item()] if self.searched else []
        return [*searches, self.message("completed", self.text)]

    def search_item(self) -> dict[str, Any]:
        """The item that holds the search results."""
        return {"type": "search_results", "queries": [self.query], "results": self.results()}

    def results(self) -> list[dict[str, Any]]:
        """The pages found, numbered as the text cites them."""
        return [
            {
                "id": number,
                "title": fact.title,
                "url": fact.url,
                "snippet": fact.text,
                "date": fact.date,
                "last_updated": fact.date,
                "source": "web",
            }
            for number, fact in enumerate(self.facts, 1)
        ]

    def message(self, status: str, text: str | None) -> dict[str, Any]:
        """The message item; without a text it has only been begun."""
        content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
        return {"id": self.message_id, "type": "message", "role": "assistant", "status": status, "content": content}


def _reply(asked: Asked, turn: Turn) -> Reply:
    search = web_search(asked)
    facts = turn.knowledge.find(asked.question)[: RESULTS[search or "low"]]
    said = cited(facts) if search and facts else recalled(facts)
    text, _ = shortened(said, asked.max_output_tokens)
    read = facts if search else []
    counts = (asked.input_tokens + sum(tokens(f.text) for f in read), tokens(text), int(bool(search)))
    return Reply(
        id=turn.identifier("resp_"),
        model=asked.model_name or turn.profile.model,
        now=turn.now,
        query=asked.question,
        facts=read,
        searched=bool(search),
        text=text,
        message_id=turn.identifier("msg_"),
        usage=_usage(turn, *counts),
        cost=turn.profile.cost(*counts),
    )


def _usage(turn: Turn, input_tokens: int, output_tokens: int, searches: int) -> dict[str, Any]:
    profile = turn.profile
    search_cost = _usd(searches * profile.call_price)
    tools = {"search_web": {"invocation": searches, "cost_usd": search_cost}} if searches else {}
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "tool_calls_details": tools,
        "cost": {
            "currency": "USD",
            "input_cost": _usd(input_tokens * profile.input_price),
            "output_cost": _usd(output_tokens * profile.output_price),
            "cache_creation_cost": 0,
            "cache_read_cost": 0,
            "tool_calls_cost": search_cost,
            "tool_calls_cost_details": {"search_web": search_cost} if searches else {},
            "total_cost": _usd(profile.cost(input_tokens, output_tokens, searches)),
        },
    }


def _usd(amount: NanoUSD) -> float:
    return amount / NANO_PER_USD


def agent(request: Request, turn: Turn) -> Script:
    """POST /v1/agent and its alias /v1/responses."""
    authenticated(request, turn)
    asked = parsed(request.body)
    reply = _reply(asked, turn)
    if asked.stream:
        return _events(reply, turn)
    if turn.answerless:
        return document(_failed(reply), pause=turn.pace.first)
    seconds = turn.pace.first + turn.pace.writing(tokens(reply.text))
    return document(reply.response("completed", reply.output(), usage=True), pause=seconds, cost=reply.cost)


def _failed(reply: Reply) -> dict[str, Any]:
    error = {"message": "The model could not complete the request", "code": "server_error", "type": "server_error"}
    return reply.response("failed", []) | {"error": error}


def _events(reply: Reply, turn: Turn) -> Script:
    started = [("response.created", 0.0, {"response": reply.response("in_progress", [])})]
    started.append(("response.in_progress", 0.0, {"response": reply.response("in_progress", [])}))
    if turn.answerless:
        failed = ("response.failed", turn.pace.first, {"error": _failed(reply)["error"]})
        return Script(pieces=_numbered([*started, failed]), content_type=EVENTS, streamed=True)
    steps = [*started, *_searching(reply, turn), *_speaking(reply, turn)]
    completed = {"response": reply.response("completed", reply.output(), usage=True)}
    pieces = _numbered([*steps, ("response.completed", 0.0, completed)])
    return Script(pieces=pieces, content_type=EVENTS, streamed=True, cost=reply.cost)


Step = tuple[str, float, dict[str, Any]]


def _searching(reply: Reply, turn: Turn) -> list[Step]:
    if not reply.searched:
        return []
    half = turn.pace.first / 2
    item = {"output_index": 0, "item": reply.search_item()}
    return [
        ("response.reasoning.started", 0.0, {"thought": "Searching the web"}),
        ("response.reasoning.search_queries", 0.0, {"queries": [reply.query]}),
        ("response.reasoning.search_results", half, {"results": reply.results()}),
        ("response.reasoning.stopped", 0.0, {}),
        ("response.output_item.added", 0.0, item),
        ("response.output_item.done", 0.0, item),
    ]


def _speaking(reply: Reply, turn: Turn) -> list[Step]:
    index = int(reply.searched)
    where = {"item_id": reply.message_id, "output_index": index, "content_index": 0}
    pause = turn.pace.first / (1 + reply.searched)
    begun = {"output_index": index, "item": reply.message("in_progress", None)}
    done = {"output_index": index, "item": reply.message("completed", reply.text)}
    deltas: list[Step] = [
        ("response.output_text.delta", turn.pace.writing(tokens(piece)), where | {"delta": piece})
        for piece in words(reply.text, 3)
    ]
    return [
        ("response.output_item.added", pause, begun),
        *deltas,
        ("response.output_text.done", 0.0, where | {"text": reply.text}),
        ("response.output_item.done", 0.0, done),
    ]


def _numbered(steps: list[Step]) -> tuple[Piece, ...]:
    return tuple((seconds, _event(number, kind, fields)) for number, (kind, seconds, fields) in enumerate(steps))


def _event(number: int, kind: str, fields: dict[str, Any]) -> bytes:
    data = msgspec.json.encode({"type": kind, "sequence_number": number} | fields)
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def models(request: Request, turn: Turn) -> Script:
    """GET /v1/models: no key needed, so it says nothing about the key."""
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]} for name in AGENT_MODELS
    ]
    return document({"object": "list", "data": listed})


def search(request: Request, turn: Turn) -> Script:
    """POST /search: results without an answer."""
    authenticated(request, turn)
    try:
        question = str(msgspec.json.decode(request.body)["query"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise refused(400, "query is required", "invalid_request") from error
    found = enumerate(turn.knowledge.find(question), 1)
    results = [
        {"title": f.title, "url": f.url, "snippet": f.text, "date": f.date, "last_updated": f.date} for _, f in found
    ]
    content = {"id": turn.identifier("search_"), "results": results}
    return document(content, pause=turn.pace.first / 2, cost=turn.profile.call_price)


PERPLEXITY = Dialect(
    routes={
        ("POST", "/v1/agent"): Route(agent, paid=True),
        ("POST", "/v1/responses"): Route(agent, paid=True),
        ("POST", "/chat/completions"): Route(chat_completions, paid=True),
        ("POST", "/v1/sonar"): Route(chat_completions, paid=True),
        ("POST", "/search"): Route(search, paid=True),
        ("GET", "/v1/models"): Route(models),
    },
    failure=failure,
)
