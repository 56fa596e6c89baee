"""What a client of each dialect heard: the words, how it ended, and what it was told it cost."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from equipoise.http import Pool, Timeouts

QUESTION = "What is clinical metabolomics, and what do targeted assays measure?"
DIALECTS: dict[str, tuple[str, bool]] = {
    "chat, whole": ("/v1/chat/completions", False),
    "chat, streamed": ("/v1/chat/completions", True),
    "responses, streamed": ("/v1/responses", True),
    "query, streamed": ("/query/stream", True),
}


class Heard(NamedTuple):
    """One client's experience; `error` is its explicit error, `ended` whether the end was one of the dialect's own."""

    status: int
    text: str
    error: str | None
    ended: bool
    cost: int
    fallback_from: str | None


def body_for(dialect: str, model: str) -> bytes:
    """The question in a dialect."""
    path, stream = DIALECTS[dialect]
    asked: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [{"role": "user", "content": QUESTION}]},
        "/v1/responses": {"input": QUESTION},
        "/query/stream": {"query": QUESTION},
    }
    return json.dumps({"model": model, "stream": stream, **asked[path]}).encode()


async def ask(pool: Pool, dialect: str, model: str, data_class: str = "") -> Heard:
    """One question, read to its end; a connection that just breaks raises."""
    path, stream = DIALECTS[dialect]
    body = body_for(dialect, model)
    patience = Timeouts(connect=20.0, first_byte=20.0, between_bytes=20.0, total=20.0)
    about = [(b"x-equipoise-data-class", data_class.encode())] if data_class else []
    response = await pool.request("POST", path, headers=about, body=body, timeouts=patience)
    told, fallback = await response.read(), response.headers.get(b"x-equipoise-fallback-from")
    if response.status != 200:
        cost = int(response.headers[b"x-equipoise-cost-usd"].replace(b".", b""))
        return Heard(response.status, "", told.decode(), True, cost, None)
    heard = READERS[dialect](told)
    if not stream:
        heard = heard._replace(cost=int(response.headers[b"x-equipoise-cost-usd"].replace(b".", b"")))
    return heard._replace(fallback_from=fallback.decode() if fallback else None)


def _whole(told: bytes) -> Heard:
    return Heard(200, json.loads(told)["choices"][0]["message"]["content"], None, True, 0, None)


def _chat(told: bytes) -> Heard:
    events = [json.loads(event) for event in _events(told) if event != b"[DONE]"]
    deltas = [choice["delta"].get("content") or "" for event in events for choice in event.get("choices") or ()]
    error = events[-1]["error"]["message"] if "error" in events[-1] else None
    story = events[-1].get("equipoise") or events[-1]
    return Heard(200, "".join(deltas), error, told.endswith(b"data: [DONE]\n\n"), _nano(story), None)


def _responses(told: bytes) -> Heard:
    events = [json.loads(event) for event in _events(told)]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    last = events[-1]
    error = last["error"]["message"] if last["type"] == "response.failed" else None
    ended = last["type"] in ("response.completed", "response.failed", "response.incomplete")
    return Heard(200, text, error, ended, _nano(last["response"].get("equipoise") or last), None)


def _query(told: bytes) -> Heard:
    lines = [json.loads(line) for line in told.splitlines()]
    last = lines[-1]
    text = "".join(line.get("response") or "" for line in lines)
    story = last.get("equipoise") or last
    return Heard(200, text, last.get("error"), "cost_usd" in story, _nano(story), None)


def _events(told: bytes) -> list[bytes]:
    lines = told.split(b"\n")
    return [line[6:] for line in lines if line.startswith(b"data: ")]


def _nano(story: dict[str, Any]) -> int:
    return int(str(story["cost_usd"]).replace(".", ""))


READERS = {
    "chat, whole": _whole,
    "chat, streamed": _chat,
    "responses, streamed": _responses,
    "query, streamed": _query,
}
