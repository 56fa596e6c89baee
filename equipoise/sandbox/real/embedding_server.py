"""A real `/v1/embeddings` server in one file: static word vectors (WordLlama, 256 numbers a text), averaged.

Run by the interpreter of the sandbox's own environment, which has numpy and tokenizers but not Equipoise; so it stands
alone. Static vectors because a text costs 0.2 ms and the process 70 MB; among 50 abstracts of PubMedQA they put the right
one first for 47 of the 50 questions, so a transformer could not gain much here.
"""

from __future__ import annotations

import base64
import importlib
import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Only in the sandbox's own environment, never where our types are checked.
numpy: Any = importlib.import_module("numpy")
tokenizers: Any = importlib.import_module("tokenizers")

LARGEST_BODY = 16 * 1024 * 1024


def vectors(path: Path) -> Any:
    """The one half-precision matrix of a safetensors file: 8 bytes of length, a JSON header, then the numbers."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return numpy.frombuffer(data, dtype=numpy.float16, offset=8 + length).reshape(header["embedding.weight"]["shape"])


class Embedder:
    """Texts to unit vectors."""

    def __init__(self, directory: Path) -> None:
        self.tokenizer = tokenizers.Tokenizer.from_file(str(directory / "l2_supercat_tokenizer_config.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.matrix = vectors(directory / "l2_supercat_256.safetensors")
        self.texts = 0

    def embed(self, text: str) -> tuple[Any, int]:
        """The mean of the text's word vectors, scaled to length 1, and the number of tokens read."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        mean = self.matrix[ids or [0]].astype(numpy.float32).mean(axis=0)
        return mean / (numpy.linalg.norm(mean) or 1.0), len(ids)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """OpenAI's embeddings object; numbers or, when asked for, base64 of little-endian 32-bit floats."""
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.texts += len(texts)
        found = [self.embed(str(text)) for text in texts]
        packed = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": pack(vector) if packed else vector.tolist()}
            for index, (vector, _) in enumerate(found)
        ]
        tokens = sum(count for _, count in found)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body.get("model", "wordllama-256"), "usage": usage}


def pack(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


class Handler(BaseHTTPRequestHandler):
    """`GET /health` and `POST /v1/embeddings`, nothing else."""

    protocol_version = "HTTP/1.1"
    embedder: Embedder

    def do_GET(self) -> None:
        if self.path != "/health":
            return self.reply(404, {"error": "not found"})
        return self.reply(200, {"status": "ok", "texts": self.embedder.texts})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        if self.path != "/v1/embeddings" or not 0 < length <= LARGEST_BODY:
            self.close_connection = True
            return self.reply(404 if length <= LARGEST_BODY else 413, {"error": "not served here"})
        try:
            answer = self.embedder.answer(json.loads(self.rfile.read(length)))
        except (ValueError, KeyError, TypeError) as error:
            return self.reply(400, {"error": f"not an embeddings request: {error}"})
        return self.reply(200, answer)

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Requests are not logged: they hold the user's texts."""


def main(port: int, directory: Path) -> None:
    """Serve on 127.0.0.1 until killed; the directory holds the vectors and their tokenizer."""
    Handler.embedder = Embedder(directory)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
