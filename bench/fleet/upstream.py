"""An answer engine on this machine that bills what it answers, by question: the only truth about money."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field

from equipoise.http import Request, Response

PRICE = 100  # dollars per million output tokens: a hundred thousand nano-dollars a token
PER_TOKEN = 100_000
MOST_TOKENS = 64
MEAN_COST = PER_TOKEN * (1 + MOST_TOKENS) // 2
JSON = ((b"content-type", b"application/json"),)


@dataclass
class Upstream:
    """Answers in OpenAI's form after 20 to 60 ms, with a random number of tokens; what it billed and how long it took, by question."""

    chance: random.Random = field(default_factory=lambda: random.Random(5))
    bills: dict[str, list[int]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)

    @property
    def billed(self) -> int:
        """Nano-dollars, all in all."""
        return sum(map(sum, self.bills.values()))

    async def handle(self, request: Request) -> Response:
        """One question."""
        if request.path.endswith("/models"):
            return Response(200, JSON, b'{"object":"list","data":[{"id":"m"}]}')
        question = json.loads(request.body)["messages"][-1]["content"]
        tokens, pause = self.chance.randint(1, MOST_TOKENS), self.chance.uniform(0.02, 0.06)
        self.bills.setdefault(question, []).append(tokens * PER_TOKEN)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(pause)
        body = {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * tokens}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens},
        }  # fmt: skip
        answer = Response(200, JSON, json.dumps(body).encode())
        self.took[question] = loop.time() - began
        return answer
