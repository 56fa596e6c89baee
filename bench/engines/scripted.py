"""Two scripted engines in one process: a web search that finds everything, and a plain model that knows what all know.

`python -m bench.engines.scripted PORT FILE`: FILE is JSON, a list of questions with what is known of each. The web speaks
Perplexity's chat API at `/web` and bills what it says (`usage.cost`); the model speaks OpenAI's at `/llm/v1`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from equipoise.http import Request, Response, Server

JSON = [(b"content-type", b"application/json")]
WEB_USD = 0.006
"""What Perplexity takes for a search with a low context and some tokens, roughly."""

NO_NEWS = "I don't have access to current information, so I cannot say what was announced there."
VAGUE = (
    "The evidence on this is mixed: some authors have reported an association, others found none, and much depends on "
    "the population and the methods. Larger studies would be needed before a firm conclusion could be drawn."
)


class Engines:
    """Answers by what is known of a question, each engine in its own way."""

    def __init__(self, known: list[dict[str, Any]]) -> None:
        self._known = {row["text"]: row for row in known}

    async def handle(self, request: Request) -> Response:
        """`POST .../chat/completions`; any GET is a health probe."""
        if request.method == "GET":
            return Response(200, JSON, b'{"object": "list", "data": []}')
        question = json.loads(request.body)["messages"][-1]["content"]
        row = self._known.get(question)
        answer = web(row) if request.path.startswith("/web") else model(row)
        return Response(200, JSON, json.dumps(answer).encode())


def web(row: dict[str, Any] | None) -> dict[str, Any]:
    """A search answer with its page; of a paper, its conclusion and where it stands."""
    if row is None:
        return completion("sonar", "Nothing was found.", usage={"cost": {"total_cost": WEB_USD}})
    source = {
        "id": 1,
        "title": row["text"],
        "url": f"https://pages.example/{row['key']}",
        "snippet": row["known"][:400],
    }
    usage = {"prompt_tokens": 20, "completion_tokens": 40, "cost": {"total_cost": WEB_USD}}
    return completion("sonar", f"{row['known']} [1]", usage=usage) | {"search_results": [source]}


def model(row: dict[str, Any] | None) -> dict[str, Any]:
    """What a model without any source says: general knowledge, an excuse, or something vague."""
    kind = None if row is None else row["kind"]
    text = {"general": row["known"] if row else "", "fresh": NO_NEWS}.get(str(kind), VAGUE)
    return completion("plain", text, usage={"prompt_tokens": 20, "completion_tokens": len(text) // 4 + 1})


def completion(model_name: str, text: str, usage: dict[str, Any]) -> dict[str, Any]:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 0,
        "model": model_name,
        "choices": [choice],
        "usage": usage,
    }


async def serve(port: int, file: Path) -> None:
    """Serve on 127.0.0.1 until killed."""
    server = Server(Engines(json.loads(file.read_text("utf-8"))).handle)
    await server.start(port=port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
