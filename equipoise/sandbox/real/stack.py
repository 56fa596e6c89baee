"""A real LightRAG server with everything it talks to, all on 127.0.0.1, under one directory."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from equipoise.sandbox.real.environment import Environment
from equipoise.sandbox.real.processes import OURSELVES, Child, call, free_port

HERE = Path(__file__).parent
EMBEDDING_DIMENSIONS = "256"
INGEST_SECONDS = 600.0

# So little context that a small model reads a prompt in seconds and is not led astray: one passage.
SMALL_CONTEXT = {
    "CHUNK_SIZE": "300",
    "CHUNK_OVERLAP_SIZE": "30",
    "TOP_K": "4",
    "CHUNK_TOP_K": "1",
    "RELATED_CHUNK_NUMBER": "1",
    "MAX_ENTITY_TOKENS": "150",
    "MAX_RELATION_TOKENS": "150",
    "MAX_TOTAL_TOKENS": "2500",
    "OPENAI_LLM_MAX_TOKENS": "120",
    "OPENAI_LLM_TEMPERATURE": "0.0",
}

# The defaults that would call a model more often, or ask for what is not installed.
FEW_CALLS = {
    "MAX_GLEANING": "0",
    "FORCE_LLM_SUMMARY_ON_MERGE": "1000",
    "RERANK_BINDING": "null",
    "MAX_ASYNC_LLM": "2",
    "MAX_PARALLEL_INSERT": "4",
    "ENABLE_LLM_CACHE": "false",
    "ENABLE_LLM_CACHE_FOR_EXTRACT": "false",
}


class Stack:
    """The servers of one run. LightRAG talks to the rules; with `real_model` these pass questions on to SmolLM2.

    SmolLM2 runs in any case: it is also a backend of its own.
    """

    def __init__(self, environment: Environment, directory: Path, *, real_model: bool) -> None:
        self.environment, self.directory, self.real_model = environment, directory, real_model
        self.api_key = secrets.token_urlsafe(16)
        self.logs = directory / "logs"
        self.embeddings = self._script("embeddings", "embedding_server.py", str(environment.vectors))
        self.llm = self._script("small language model", "llm_server.py")
        self.rules = self._rules()
        self.lightrag = self._lightrag()

    @property
    def children(self) -> list[Child]:
        return [self.llm, self.embeddings, self.rules, self.lightrag]

    def start(self, tell: Callable[[str], None]) -> None:
        """Start all and wait for all. Raises DidNotStart, with everything stopped again."""
        try:
            for child in self.children:
                child.start()
            for child in self.children:
                child.wait_ready()
                tell(f"{child.name} answers on 127.0.0.1:{child.port}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for child in reversed(self.children):
            child.stop()

    def ingest(self, texts: Mapping[str, str], tell: Callable[[str], None], seconds: float = INGEST_SECONDS) -> float:
        """Hand the texts (file name to text) to LightRAG and wait until it has indexed them; returns the seconds taken.

        Raises RuntimeError if it refuses or fails one, TimeoutError if it takes longer than `seconds`.
        """
        begun = time.monotonic()
        self.ask_lightrag("POST", "/documents/texts", {"texts": list(texts.values()), "file_sources": list(texts)})
        told = -1
        while (done := self._indexed()) < len(texts):
            if time.monotonic() - begun > seconds:
                raise TimeoutError(f"LightRAG indexed {done} of {len(texts)} texts in {seconds:.0f} s")
            if done > told:
                tell(f"{done} of {len(texts)} texts indexed")
                told = done
            time.sleep(0.5)
        return time.monotonic() - begun

    def _indexed(self) -> int:
        counts = self.ask_lightrag("GET", "/documents/status_counts")["status_counts"]
        if counts.get("failed"):
            raise RuntimeError(f"LightRAG failed to index {counts['failed']} texts; its log is {self.lightrag.log}")
        return int(counts.get("processed", 0))

    def ask_lightrag(self, method: str, path: str, body: Any = None) -> Any:
        """A request with the right key; raises RuntimeError unless the answer is 200."""
        status, answer = call(self.lightrag.port, method, path, body, {"X-API-Key": self.api_key}, timeout=120)
        if status != 200:
            raise RuntimeError(f"LightRAG answered {method} {path} with {status}: {answer}")
        return answer

    def _script(self, name: str, file: str, *words: str) -> Child:
        port = free_port()
        command = [str(self.environment.python), str(HERE / file), str(port), *words]
        return Child(name, command, port=port, log=self.logs / f"{Path(file).stem}.log", directory=self.directory)

    def _rules(self) -> Child:
        port = free_port()
        command = [sys.executable, "-m", "equipoise.sandbox.real.rules_server", str(port)]
        if self.real_model:
            command.append(str(self.llm.port))
        log = self.logs / "rules_server.log"
        return Child("extraction rules", command, port=port, log=log, variables=OURSELVES)

    def _lightrag(self) -> Child:
        port, data = free_port(), self.directory / "lightrag"
        data.mkdir(parents=True)
        command = [str(self.environment.programs / "lightrag-server")]
        variables = self.lightrag_variables(port, data)
        log = self.logs / "lightrag.log"
        return Child("LightRAG", command, port=port, log=log, variables=variables, directory=data)

    def lightrag_variables(self, port: int, data: Path) -> dict[str, str]:
        """LightRAG's settings: everything in files under `data`, both models on this machine."""
        return {
            **SMALL_CONTEXT,
            **FEW_CALLS,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "LIGHTRAG_API_KEY": self.api_key,
            "WORKING_DIR": str(data),
            "INPUT_DIR": str(data / "inputs"),
            "LOG_DIR": str(data),
            "LLM_BINDING": "openai",
            "LLM_BINDING_HOST": f"http://127.0.0.1:{self.rules.port}/v1",
            "LLM_BINDING_API_KEY": "none",
            "LLM_MODEL": "rules",
            "EMBEDDING_BINDING": "openai",
            "EMBEDDING_BINDING_HOST": f"http://127.0.0.1:{self.embeddings.port}/v1",
            "EMBEDDING_BINDING_API_KEY": "none",
            "EMBEDDING_MODEL": "wordllama-256",
            "EMBEDDING_DIM": EMBEDDING_DIMENSIONS,
            "TIKTOKEN_CACHE_DIR": str(self.environment.token_tables),
        }
