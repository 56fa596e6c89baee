"""Questions at a steady rate, each under an Idempotency-Key: whoever gets no answer asks another gateway again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from bench.fleet.gateways import Gateway
from bench.fleet.upstream import MOST_TOKENS, Upstream
from equipoise.http import HTTPError, Pool, PoolLimits, Timeouts

PATIENCE = Timeouts(connect=5.0, first_byte=20.0, between_bytes=20.0)
TRIES = 4


@dataclass
class Answered:
    """One question: when it was asked (seconds since the start), what came of it, seconds beyond the upstream's, repeats."""

    at: float
    code: str
    added: float
    tries: int


@dataclass
class Load:
    """All questions, round robin over the gateways that are there."""

    gateways: list[Gateway]
    upstream: Upstream
    answered: list[Answered] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self._pools = {id(g): Pool(g.url, limits=PoolLimits(connections=200)) for g in self.gateways}
        self._began = asyncio.get_running_loop().time()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self._began

    async def at_rate(self, rate: float, seconds: float) -> None:
        """Ask at this rate for so long, whoever is still waiting."""
        first, began = self.asked, self.now
        while (due := began + (self.asked - first) / rate) < began + seconds:
            await asyncio.sleep(max(0.0, due - self.now))
            task = asyncio.create_task(self._one(self.asked))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self.asked += 1

    async def finish(self) -> None:
        """Wait for all answers."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.close()

    async def _one(self, number: int) -> None:
        question, at = f"question {number}", self.now
        body = {"model": "auto", "max_tokens": MOST_TOKENS, "messages": [{"role": "user", "content": question}]}
        for attempt in range(TRIES):
            there = [gateway for gateway in self.gateways if gateway.alive]
            code = await self._asked(there[(number + attempt) % len(there)], number, attempt, json.dumps(body).encode())
            if code != "lost":
                break
        added = self.now - at - self.upstream.took.get(question, 0.0)
        self.answered.append(Answered(at, code, added, attempt))

    async def _asked(self, gateway: Gateway, number: int, attempt: int, body: bytes) -> str:
        headers = [
            (b"content-type", b"application/json"),
            (b"idempotency-key", b"key-%d" % number),
            (b"x-request-id", b"q-%d-%d" % (number, attempt)),
        ]
        try:
            response = await self._pools[id(gateway)].request(
                "POST", "/v1/chat/completions", headers=headers, body=body, timeouts=PATIENCE
            )
            text = await response.read()
        except HTTPError:
            return "lost"
        return "ok" if response.status == 200 else str(json.loads(text)["error"]["code"])
