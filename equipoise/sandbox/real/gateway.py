"""The real gateway as a child process, and a client that asks it as any OpenAI client would."""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from equipoise.sandbox.real.processes import OURSELVES, Child, call, free_port
from equipoise.sandbox.real.stack import Stack

KEY_VARIABLE = "DEMO_LIGHTRAG_KEY"

# The price is an example, so that there is a cost to show: nothing is billed for what runs on this machine.
CONFIGURATION = """\
# Written by `equipoise demo --real`.
backend_instances:
  lightrag:
    backend_type: lightrag
    endpoint_url: http://127.0.0.1:{lightrag}
    api_key: ${{{variable}}}
    corpus: demo
    quality_score: 0.9
    cost_per_1k_tokens: 0.0005
    extra_body: {{max_total_tokens: 2500}}
  small-model:
    backend_type: local_llm
    endpoint_url: http://127.0.0.1:{model}/v1
    model: smollm2-135m
    quality_score: 0.3
strategy: quality_based
minimum_quality_threshold: 0.0
routes:
  auto:
    backends: [lightrag]
    fallback: [small-model]
state_dir: {state}
"""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One answer as a client of the gateway gets it."""

    question: str
    status: int
    text: str
    sources: list[str]
    backend: str
    reason: str
    cost_usd: str
    cost_source: str
    seconds: float
    request_id: str
    streamed: bool
    failed: bool = False
    fallback_from: str | None = None


class RealGateway:
    """`equipoise serve` in front of the stack: LightRAG first, the small model alone when LightRAG cannot answer."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.configuration = directory / "equipoise.yaml"
        self.configuration.write_text(
            CONFIGURATION.format(
                lightrag=stack.lightrag.port,
                model=stack.llm.port,
                variable=KEY_VARIABLE,
                state=json.dumps(str(directory / "state")),
            )
        )
        port, admin_port = free_port(), free_port()
        command = [sys.executable, "-m", "equipoise", "serve", "-c", str(self.configuration)]
        command += ["--port", str(port), "--admin-port", str(admin_port)]
        keys = {**OURSELVES, KEY_VARIABLE: stack.api_key}
        log = directory / "logs" / "gateway.log"
        self.child = Child("gateway", command, port=port, log=log, ready="/readyz", variables=keys, directory=directory)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.child.port}"

    def ask(self, question: str, *, stream: bool = False, options: Mapping[str, Any] | None = None) -> Told:
        """One question by the route `auto`. Raises OSError if the gateway cannot be reached."""
        body = {"model": "auto", "messages": [{"role": "user", "content": question}], "stream": stream}
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.child.port, timeout=300)
        try:
            data = json.dumps({**body, **(options or {})}).encode()
            connection.request("POST", "/v1/chat/completions", data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            whole = joined(answer) if stream and answer.status == 200 else decoded(answer)
        finally:
            connection.close()
        return told(question, answer, whole, time.monotonic() - begun, streamed=stream)

    def story(self, request_id: str) -> Any:
        """What the gateway recorded of a request, or None while it is not yet written."""
        status, story = call(self.child.port, "GET", f"/v1/requests/{request_id}")
        return story if status == 200 else None


def events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event until `[DONE]`."""
    for line in answer:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            yield json.loads(line[6:])


def decoded(answer: http.client.HTTPResponse) -> dict[str, Any]:
    """The body of a whole answer; one that is no JSON object becomes an error that quotes it."""
    data = answer.read()
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"error": {"message": data[:200].decode("utf-8", "replace")}}


def joined(answer: http.client.HTTPResponse) -> dict[str, Any]:
    """The chunks of a stream as one completion: texts joined, everything else from the last chunk that has it."""
    text, whole = "", dict[str, Any]()
    for chunk in events(answer):
        for choice in chunk.get("choices", []):
            text += choice.get("delta", {}).get("content") or ""
        whole |= {key: value for key, value in chunk.items() if value}
    return {**whole, "choices": [{"message": {"content": text}}]}


def told(
    question: str, answer: http.client.HTTPResponse, whole: dict[str, Any], seconds: float, *, streamed: bool
) -> Told:
    """Header fields and body as one record; a stream has its cost in the body, a whole answer in a header."""
    error = whole.get("error")
    text = f"(no answer: {error.get('message')})" if error else whole["choices"][0]["message"]["content"]
    cost = (whole.get("usage") or {}).get("cost", 0.0)
    return Told(
        question=question,
        status=answer.status,
        text=text or "",
        sources=[str(source.get("title") or source.get("url")) for source in whole.get("search_results", [])],
        backend=answer.headers.get("x-equipoise-backend", ""),
        reason=answer.headers.get("x-equipoise-reason", ""),
        cost_usd=answer.headers.get("x-equipoise-cost-usd") or f"{cost:.9f}",
        cost_source=answer.headers.get("x-equipoise-cost-source", "estimated"),
        seconds=round(seconds, 3),
        request_id=answer.headers.get("x-request-id", ""),
        streamed=streamed,
        failed=answer.status != 200 or error is not None,
        fallback_from=answer.headers.get("x-equipoise-fallback-from"),
    )
