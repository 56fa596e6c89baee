"""What the operator has done beside a question: hooks that see it and its answer, the trace that it belongs to, and
its words kept where its tenant's are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from equipoise.backends.errors import UNREADABLE
from equipoise.core.intake import Hints
from equipoise.gateway.dialects.base import Asked, opened
from equipoise.gateway.problems import Problem, unreadable
from equipoise.stores.contents import Contents, Kept
from equipoise.telemetry.hooks import HookContext, Hooks

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply
    from equipoise.core.model import Answer
    from equipoise.core.model import Request as Sized
    from equipoise.gateway.given import GivenStream

Trace: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Beside:
    """All are optional. Embeddings have no words to look at.

    What is kept is what the hooks left: the question as it was sent, the answer as it was given.
    """

    def __init__(
        self,
        hooks: Hooks | None = None,
        begin_trace: Callable[[Trace, str], Trace] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._hooks, self._begin, self._contents = hooks, begin_trace, contents
        self.sees_questions = hooks is not None or begin_trace is not None
        self.sees_answers = hooks is not None or contents is not None
        """Is there anything to be done with a question before, and with its answer after it? Else neither needs to be shown."""

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
        if asked.question.embeddings or not (self._hooks or self._keeps(sized.tenant)):
            return
        try:
            answer = opened(reply.answer)
        except UNREADABLE as error:
            raise unreadable(reply, error) from error
        if self._hooks is not None:
            answer = reply.answer = await self._hooks.answered(answer, _context(asked, sized, reply))
        self._keep(sized, answer, reply.backend_id)

    def failed(self, sized: Sized, problem: Problem) -> None:
        """It got no whole answer."""
        if not sized.question.embeddings:
            self._keep(sized, None, None, problem.code)

    def opened(self, stream: AnswerStream | GivenStream, tenant: str) -> None:
        """A stream begins: its words are held for the hooks, and to be kept."""
        if self._hooks is not None or self._keeps(tenant):
            stream.listening = True

    def passed_on(self, stream: AnswerStream | GivenStream, asked: Asked, sized: Sized) -> None:
        """A stream has reached its end; it is told beside everything else."""
        if stream.reply is None:
            return
        if self._hooks is not None:
            self._hooks.passed_on(stream.heard(), _context(asked, sized, stream.reply))
        if self._keeps(sized.tenant):
            self._keep(sized, stream.heard(), stream.backend_id)

    def _keeps(self, tenant: str) -> bool:
        return self._contents is not None and self._contents.wants(tenant)

    def _keep(self, sized: Sized, answer: Answer | None, backend_id: str | None, code: str | None = None) -> None:
        if self._contents is None or not self._keeps(sized.tenant):
            return
        self._contents.keep(
            Kept(
                request_id=sized.id,
                tenant=sized.tenant,
                wall=time.time(),
                question="\n\n".join(f"{message.role}: {message.text}" for message in sized.question.messages),
                answer=answer.text if answer is not None else None,
                citations=tuple(msgspec.to_builtins(each) for each in answer.citations) if answer is not None else (),
                backend_id=backend_id,
                error_code=code,
            )
        )


def _context(asked: Asked, sized: Sized, reply: Reply) -> HookContext:
    return HookContext(
        request_id=sized.id,
        tenant=sized.tenant,
        model=asked.model,
        stream=asked.question.stream,
        backend_id=reply.backend_id,
        cost=reply.cost,
    )
