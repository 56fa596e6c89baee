"""What the operator has done beside a question: hooks that see it and its answer, and the trace that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from equipoise.backends.errors import UNREADABLE
from equipoise.core.intake import Hints
from equipoise.gateway.dialects.base import Asked, opened
from equipoise.gateway.problems import unreadable
from equipoise.telemetry.hooks import HookContext, Hooks

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply
    from equipoise.core.model import Request as Sized

Trace: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Beside:
    """Both are optional; without either the gateway has none of this. Embeddings have no words to look at."""

    def __init__(self, hooks: Hooks | None, begin_trace: Callable[[Trace, str], Trace] | None) -> None:
        self._hooks, self._begin = hooks, begin_trace

    async def asked(self, asked: Asked, hints: Hints) -> Hints:
        """Before the question is sized: the hooks may change it, and its trace context becomes ours where it is sampled."""
        if self._begin is not None:
            hints = msgspec.structs.replace(hints, trace=self._begin(hints.trace, hints.request_id or ""))
        if self._hooks is not None and not asked.question.embeddings:
            known = HookContext(
                request_id=hints.request_id or "",
                tenant=hints.tenant,
                model=asked.model,
                stream=asked.question.stream,
            )
            asked.question = await self._hooks.asked(asked.question, known)
        return hints

    async def answered(self, reply: Reply, asked: Asked, sized: Sized) -> None:
        """Before a whole answer is written. Raises Problem for an upstream's body that cannot be read."""
        if self._hooks is None or asked.question.embeddings:
            return
        try:
            answer = opened(reply.answer)
        except UNREADABLE as error:
            raise unreadable(reply, error) from error
        reply.answer = await self._hooks.answered(answer, _context(asked, sized, reply))

    def opened(self, stream: AnswerStream) -> None:
        """A stream begins: its words are kept for the hooks."""
        stream.listening = stream.listening or self._hooks is not None

    def passed_on(self, stream: AnswerStream, asked: Asked, sized: Sized) -> None:
        """A stream has reached its end; it is told beside everything else."""
        if self._hooks is not None and stream.reply is not None:
            self._hooks.passed_on(stream.heard(), _context(asked, sized, stream.reply))


def _context(asked: Asked, sized: Sized, reply: Reply) -> HookContext:
    return HookContext(
        request_id=sized.id,
        tenant=sized.tenant,
        model=asked.model,
        stream=asked.question.stream,
        backend_id=reply.backend_id,
        cost=reply.cost,
    )
