"""A gateway whose route `auto` keeps answers, in front of a scripted balancer that takes as long as it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from equipoise.core.intake import Hints
from equipoise.core.model import Answer, Question, Request
from equipoise.core.routing import CacheOptions, Route
from equipoise.gateway import ClientKeys, Gateway
from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.lookup import CacheLimits
from equipoise.http import Response
from equipoise.reply import Reply
from tests.shell.gateway.scripted import ScriptedBalancer, ScriptedStream, gateway_of, http, reply_of

CHAT = "/v1/chat/completions"
QUESTION: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Does water boil?"}]}


class Slow(ScriptedBalancer):
    """Answers when `go` is set; with `canary` by who asked what under which data classes."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()
        self.canary = False
        self.role = "answer"
        self.replies: dict[str, Any] = {}

    def request(self, question: Question, hints: Hints) -> tuple[Request, str | None]:
        sized, warning = super().request(question, hints)
        terms: dict[str, Any] = {"data_classes": hints.data_classes, "strategy": hints.strategy}
        terms |= {"max_cost": hints.max_cost, "budgets": hints.budgets, "role": self.role, "key": hints.key}
        return msgspec.structs.replace(sized, **terms), warning

    async def answer(self, request: Request) -> Reply:
        if self.canary:
            fields = {
                name: request.question.options[name] for name in ("user", "seed") if name in request.question.options
            }
            whose = [request.tenant, sorted(request.data_classes), request.question.text, fields]
            await asyncio.sleep(0)
            return reply_of(Answer(text=msgspec.json.encode(whose).decode()), request.id)
        self.asked.append(request)
        await self.go.wait()
        if isinstance(self.answer_with, Exception):
            raise self.answer_with
        self.asked.pop()
        reply = await super().answer(request)
        return msgspec.structs.replace(reply, **self.replies)

    async def open(self, request: Request) -> ScriptedStream:
        stream = await super().open(request)
        stream.items = self._paced(stream.items)  # type: ignore[method-assign]
        return stream

    def _paced(self, items: Any) -> Any:
        async def paced() -> Any:
            async for item in items():
                await self.go.wait()
                yield item

        return paced


USUAL = CacheOptions()


class Kitchen:
    """The gateway, its balancer and its cache on a clock of their own."""

    def __init__(self, options: CacheOptions | None = USUAL, keys: ClientKeys | None = None, **limits: int) -> None:
        self.clock, self.balancer = 1_000.0, Slow()
        self.route = Route(name="auto", backends=("graph-a",), strategy="cost_optimized", cache=options)
        self.cache = ResponseCache(
            self.balancer,
            lambda: {"auto": self.route},
            CacheLimits(**limits),
            lambda: self.clock,  # type: ignore[arg-type]
        )
        self.gateway: Gateway = gateway_of(self.balancer, keys, cache=self.cache)

    async def ask(self, body: Any = None, path: str = CHAT, **headers: str) -> Response:
        raw = body if isinstance(body, bytes) else msgspec.json.encode(QUESTION | (body or {}))
        return await self.gateway.handle(http("POST", path, raw, **headers))


def said(response: Response) -> str:
    """What the cache did."""
    return dict(response.headers).get(b"x-equipoise-cache", b"").decode()
