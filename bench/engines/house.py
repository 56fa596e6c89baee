"""What the bench starts: a real LightRAG with its corpus, the scripted engines, and the gateway in front of them."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from bench.engines.questions import Asked
from equipoise.sandbox.real.environment import Environment
from equipoise.sandbox.real.processes import OURSELVES, Child, call, free_port
from equipoise.sandbox.real.stack import Stack

ROOT = Path(__file__).parents[2]
KEY = "BENCH_LIGHTRAG_KEY"
CONFIGURATION = """\
backend_instances:
  papers:
    backend_type: lightrag
    endpoint_url: http://127.0.0.1:{lightrag}
    api_key: ${{{key}}}
    mode: naive
    cost_per_1k_tokens: 0.0005
    extra_body: {{max_total_tokens: 2500}}
  web:
    backend_type: perplexity
    api: chat
    endpoint_url: http://127.0.0.1:{scripted}/web
    api_key: scripted
  llm:
    backend_type: local_llm
    endpoint_url: {llm}
    model: plain
    price: {{input: 0.15, output: 0.60}}
    extra_body: {{max_tokens: 40}}
strategy: {strategy}
strategy_options:
  adaptive_learning: {{price: 0.2}}
minimum_quality_threshold: 0.4
quality_sampling_rate: 1.0
retry: {{share: 1.0}}
seed: 11
routes:
  auto: {{escalate: true}}
state_dir: {state}
"""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One answer as a client gets it, cost in dollars."""

    asked: Asked
    status: int
    text: str
    sources: list[str]
    backend: str
    cost: Decimal
    attempts: int
    request_id: str
    escalated: bool
    reason: str


class House:
    """Everything that runs during the bench; stop it whatever happens."""

    def __init__(self, environment: Environment, directory: Path, known: list[Asked], *, real_llm: bool) -> None:
        self.stack = Stack(environment, directory, real_model=False)
        table = directory / "known.json"
        table.write_text(json.dumps([asked._asdict() for asked in known]))
        port = free_port()
        command = [sys.executable, "-m", "bench.engines.scripted", str(port), str(table)]
        self.scripted = Child(
            "scripted engines", command, port=port, log=directory / "logs" / "scripted.log",
            variables=OURSELVES, directory=ROOT,
        )  # fmt: skip
        self._llm = f"http://127.0.0.1:{self.stack.llm.port}/v1" if real_llm else f"http://127.0.0.1:{port}/llm/v1"
        self._directory = directory
        self.gateway: Child | None = None

    def go_by(self, strategy: str) -> None:
        """Put a new gateway, which knows nothing yet, in front of the engines."""
        if self.gateway is not None:
            self.gateway.stop()
        self.gateway = self._gateway(self._directory / strategy, strategy)
        self.gateway.start()
        self.gateway.wait_ready()

    def _gateway(self, directory: Path, strategy: str) -> Child:
        directory.mkdir()
        file = directory / "equipoise.yaml"
        file.write_text(
            CONFIGURATION.format(
                lightrag=self.stack.lightrag.port, scripted=self.scripted.port, llm=self._llm, key=KEY,
                strategy=strategy, state=json.dumps(str(directory / "state")),
            )
        )  # fmt: skip
        port, admin = free_port(), free_port()
        command = [sys.executable, "-m", "equipoise", "serve", "-c", str(file), "--port", str(port)]
        command += ["--admin-port", str(admin)]
        variables = {**OURSELVES, KEY: self.stack.api_key}
        log = self._directory / "logs" / f"{strategy}.log"
        return Child("gateway", command, port=port, log=log, ready="/readyz", variables=variables, directory=directory)

    def start(self, texts: Mapping[str, str], tell: Any) -> None:
        """Start all, hand LightRAG its texts and wait for them."""
        self.stack.start(tell)
        self.scripted.start()
        self.scripted.wait_ready()
        self.stack.ingest(texts, tell)

    def stop(self) -> None:
        """Stop all that was started."""
        if self.gateway is not None:
            self.gateway.stop()
        self.scripted.stop()
        self.stack.stop()

    def ask(self, asked: Asked, model: str = "auto") -> Told:
        """One question, by a route or of one engine."""
        body = {"model": model, "messages": [{"role": "user", "content": asked.text}]}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            whole = json.loads(response.read())
        finally:
            connection.close()
        fields = response.headers
        return Told(
            asked=asked,
            status=response.status,
            text=whole["choices"][0]["message"]["content"] if response.status == 200 else "",
            sources=[f"{of.get('title')} {of.get('url')}" for of in whole.get("search_results") or ()],
            backend=fields.get("x-equipoise-backend", ""),
            cost=Decimal(fields.get("x-equipoise-cost-usd", "0")),
            attempts=int(fields.get("x-equipoise-attempts", "0")),
            request_id=fields.get("x-request-id", ""),
            escalated="x-equipoise-escalated-from" in fields,
            reason=fields.get("x-equipoise-reason", ""),
        )

    def rate(self, told: Told, score: float) -> int:
        """What a check of the caller's own found, as feedback."""
        body = {"request_id": told.request_id, "type": "automated", "score": score}
        return call(self._port, "POST", "/v1/feedback", body)[0]

    @property
    def _port(self) -> int:
        if self.gateway is None:
            raise RuntimeError("no gateway was started")
        return self.gateway.port
