"""What one question to a real LightRAG server costs in all, when its own model and embeddings are asked through us."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from equipoise.sandbox.real.environment import Environment
from equipoise.sandbox.real.processes import OURSELVES, Child, call, free_port
from equipoise.sandbox.real.stack import Stack
from equipoise.sandbox.real.texts import read_corpus

ASKER, GRAPH = "the-key-of-who-asks", "the-key-of-the-graph"
QUESTIONS = (
    "What does falling blood lactate predict in sepsis?",
    "How is a pooled quality control sample made?",
    "How soon should plasma be separated from blood cells?",
    "What do raised acylcarnitines say about mitochondria?",
)
# Dollars per million tokens: examples, with so many digits that a sum over the wrong rows cannot come out right.
MODEL_PRICE, VECTOR_PRICE = {"input": 1.37, "output": 4.11}, {"input": 0.023}


class Through(Stack):
    """LightRAG with both its models behind our gateway, which is there before it."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self.gateway_port = free_port()
        super().__init__(environment, directory, real_model=False)
        self.gateway = self._gateway()

    @property
    def children(self) -> list[Child]:
        return [self.embeddings, self.rules, self.gateway, self.lightrag]

    def lightrag_variables(self, port: int, data: Path) -> dict[str, str]:
        """Both models by our routes, with the graph's own key."""
        ours = {"HOST": f"http://127.0.0.1:{self.gateway_port}/v1", "API_KEY": GRAPH}
        said = {f"{kind}_BINDING_{name}": value for kind in ("LLM", "EMBEDDING") for name, value in ours.items()}
        models = {"LLM_MODEL": "graph-llm", "EMBEDDING_MODEL": "graph-embeddings"}
        return super().lightrag_variables(port, data) | said | models

    def _gateway(self) -> Child:
        file = self.directory / "equipoise.json"
        self.directory.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self._configuration()))
        command = [sys.executable, "-m", "equipoise", "serve", "-c", str(file), "--port", str(self.gateway_port)]
        command += ["--admin-port", str(free_port())]
        log = self.logs / "gateway.log"
        return Child("gateway", command, port=self.gateway_port, log=log, ready="/livez", variables=OURSELVES)

    def _configuration(self) -> dict[str, Any]:
        local = {"backend_type": "local_llm", "endpoint_url": f"http://127.0.0.1:{self.rules.port}/v1"}
        vectors = {"backend_type": "local_llm", "endpoint_url": f"http://127.0.0.1:{self.embeddings.port}/v1"}
        return {
            "backend_instances": {
                "graph": {
                    "backend_type": "lightrag",
                    "endpoint_url": f"http://127.0.0.1:{self.lightrag.port}",
                    "api_key": self.api_key,
                    "llm_via": ["graph-llm", "graph-embeddings"],
                },
                "model": {**local, "model": "rules", "supports": ["json"], "price": MODEL_PRICE},
                "vectors": {**vectors, "model": "wordllama-256", "supports": ["embeddings"], "price": VECTOR_PRICE},
            },
            "routes": {
                "auto": {"backends": ["graph"]},
                "graph-llm": {"backends": ["model"]},
                "graph-embeddings": {"backends": ["vectors"]},
            },
            "keys": {
                "asker": {"key": ASKER, "tenant": "ann"},
                "graph": {"key": GRAPH, "tenant": "graph", "routes": ["graph-llm", "graph-embeddings"]},
            },
            "minimum_quality_threshold": 0.0,
            "state_dir": str(self.directory / "state"),
        }

    def ask(self, question: str) -> tuple[str, dict[str, Any]]:
        """One question by its asker: its id and whole story."""
        body = {"model": "auto", "messages": [{"role": "user", "content": question}]}
        status, answer = call(self.gateway_port, "POST", "/v1/chat/completions", body, key(ASKER), timeout=120)
        assert status == 200, answer
        request_id = answer["id"].removeprefix("chatcmpl-")
        return request_id, self.story(request_id) | {"told": answer["usage"]["cost"]}

    def story(self, request_id: str) -> dict[str, Any]:
        status, story = call(self.gateway_port, "GET", f"/v1/requests/{request_id}", None, key(ASKER))
        assert status == 200, story
        return dict(story)

    def records(self) -> list[dict[str, Any]]:
        """Every record of the ledger, as the shipped command exports it."""
        command = [sys.executable, "-m", "equipoise", "ledger", "export", "-c", str(self.directory / "equipoise.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def asked_so_far(self) -> tuple[int, int]:
        """What the two upstreams counted themselves: conversations, and texts embedded."""
        asked = call(self.rules.port, "GET", "/seen")[1]["asked"]
        return asked, call(self.embeddings.port, "GET", "/health")[1]["texts"]


def key(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


@pytest.fixture(scope="module")
def through(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Through]:
    running = Through(environment, tmp_path_factory.mktemp("through"))
    running.start(print)
    try:
        running.ingest(read_corpus(None).texts, print)
        yield running
    finally:
        running.stop()


def test_indexing_is_nobodys_question(through: Through) -> None:
    """It is recorded and billed on the graph's own key, has no parent, and is the first thing seen."""
    rows = through.records()
    assert rows
    assert {(row["route"], row["tenant"], row["parent"]) for row in rows} == {
        ("graph-llm", "graph", None),
        ("graph-embeddings", "graph", None),
    }
    assert sum(row["cost"] for row in rows) > 0
    asked, _ = through.asked_so_far()
    assert sum(row["route"] == "graph-llm" for row in rows) == asked


def test_the_cost_of_one_question_is_that_of_the_calls_made_for_it(through: Through) -> None:
    """Keywords and answer by their words; tokens as both upstreams reported them, at their prices, to the nano-dollar."""
    before = through.asked_so_far()
    request_id, story = through.ask(QUESTIONS[0])
    after = through.asked_so_far()
    (own,), inner = story["attempts"], story["inner"]
    assert (own["cost"], own["cost_source"], own["price_source"]) == (0, "metered", "llm_via")
    talked = [row for row in inner if row["route"] == "graph-llm"]
    assert len(talked) == after[0] - before[0] == 2
    assert after[1] > before[1]
    assert [row["parent"] for row in inner] == [request_id] * len(inner)
    assert {row["tenant"] for row in inner} == {"ann"}
    assert {row["key"] for row in inner} == {"graph"}
    for row in inner:
        rates = MODEL_PRICE if row["route"] == "graph-llm" else VECTOR_PRICE
        tokens = ((row["input_tokens"], rates["input"]), (row["output_tokens"], rates.get("output", 0)))
        exact = sum(Fraction(str(rate)) * count * 1000 for count, rate in tokens)
        assert exact <= row["cost"] < exact + 1
        assert (row["cost_source"], row["usage_estimated"]) == ("priced", False)
    whole = sum(row["cost"] for row in inner)
    assert (own["inner_cost"], own["inner_calls"]) == (whole, len(inner))
    assert story["cost_usd"] == f"{whole / 1e9:.9f}"
    assert round(story["told"] * 1e9) == whole


def test_questions_asked_at_once_each_bear_their_own_calls(through: Through) -> None:
    """Four together: no call of a model is another's, what cannot be told apart is shared, and nothing is lost or doubled."""
    before = {(row["request_id"], row["number"]) for row in through.records()}
    with ThreadPoolExecutor(len(QUESTIONS)) as together:
        stories = [story for _, story in together.map(through.ask, QUESTIONS)]
    new = [row for row in through.records() if (row["request_id"], row["number"]) not in before]
    own = [row for row in new if row["backend_id"] == "graph"]
    calls = [row for row in new if row["backend_id"] != "graph"]
    assert len(own) == len(QUESTIONS)
    for story in stories:
        assert len([row for row in story["inner"] if row["route"] == "graph-llm"]) == 2
    assert sum(row["inner_cost"] for row in own) == sum(row["cost"] for row in calls)
    assert sum(row["cost"] for row in new) == sum(row["cost"] for row in calls)
    assert {row["joined"] for row in own} <= {"words", "time", "shared"}
