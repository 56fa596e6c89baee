"""An answer that is given more than once: what is kept of it, and what each who gets it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.backends.base import Finished, Relayed, StreamItem, TextDelta
from equipoise.backends.openai_stream import text_of
from equipoise.core.attempts import Attempted, Interrupted, Unanswered
from equipoise.core.model import Answer, CostSource, NanoUSD, Verdict
from equipoise.core.routing import Route
from equipoise.gateway.following import Pieces
from equipoise.reply import Decided, Reply

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream

BOOKKEEPING = 4_096
"""Bytes counted for a kept answer besides its own, so that countless short ones are bounded too."""
_encode = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, kw_only=True):
    """A whole answer with what it did cost (`price`, nano-dollars) and whose it is; `pieces` are those of a stream.

    `made` is monotonic seconds, `wall` Unix seconds; `hits` counts how often it was given again.
    """

    reply: Reply
    pieces: Pieces[StreamItem] | None
    model: str
    made: float
    wall: float
    price: NanoUSD
    tenant: str
    route: str
    hits: int = 0

    @property
    def size(self) -> int:
        """Bytes it takes in memory, roughly."""
        pieces = self.pieces.pieces if self.pieces is not None else []
        return BOOKKEEPING + len(_encode(self.reply.answer)) + sum(len(_encode(piece)) for piece in pieces)


def kept_of(reply: Reply) -> Reply:
    """What is worth keeping of a reply: not what the decision was compared with."""
    slim: dict[str, Any] = {"compared": {}, "probabilities": {}, "excluded": {}, "candidates": (), "scores": {}}
    reason = f"the same question was answered before: {reply.decision.reason}"
    decision = msgspec.structs.replace(reply.decision, reason=reason, **slim)
    return msgspec.structs.replace(reply, decision=decision)


def again(reply: Reply, request_id: str, waited: float = 0.0) -> Reply:
    """The same answer for another request: nobody was asked and nothing is to be paid."""
    return msgspec.structs.replace(
        reply,
        request_id=request_id,
        attempts=(),
        cost=0,
        cost_source=CostSource.METERED,
        duration=waited,
        overhead=0.0,
    )


def price_of(reply: Reply) -> NanoUSD:
    """What asking again would cost: the attempt that answered, without those that failed before."""
    return reply.attempts[-1].cost if reply.attempts else reply.cost


def worth_keeping(reply: Reply, route: Route) -> bool:
    """Would anybody want this answer again? Without tool calls or a cut, from the route's own, and not in doubt."""
    answer, quality = reply.answer, reply.quality
    sound = bool(reply.attempts) and reply.attempts[-1].verdict is Verdict.SUCCESS
    finished = answer.finish_reason == "stop" and not answer.tool_calls
    doubted = quality < route.min_quality if quality is not None else reply.escalated_from is not None
    return sound and finished and not doubted and reply.role == "answer" and reply.backend_id in route.backends


def shared(error: BaseException) -> BaseException:
    """What somebody else's failure is to one who waited for the same answer: the attempts and their cost are not his."""
    if not isinstance(error, Unanswered):
        return error
    kind = Interrupted if isinstance(error, Interrupted) else Unanswered
    told = kind(
        error.code,
        error.message,
        retry_after=error.retry_after,
        reasons=error.reasons,
        client_error=error.client_error,
        decision=error.decision,
    )
    told.status, told.should_retry = error.status, error.should_retry
    return told


def merged(pieces: Iterable[StreamItem]) -> list[StreamItem]:
    """The same stream in as few pieces as say the same."""
    found: list[StreamItem] = []
    for piece in pieces:
        last = found[-1] if found else None
        if type(piece) is Relayed and type(last) is Relayed:
            found[-1] = Relayed(last.data + piece.data)
        elif type(piece) is TextDelta and type(last) is TextDelta:
            found[-1] = TextDelta(last.text + piece.text)
        else:
            found.append(piece)
    return found


class GivenStream(Decided):
    """A stream as one of its readers has it: who asked first (`own`) is told of its attempts and pays for them.

    It has what `AnswerStream` has for those who pass it on; closing it leaves it to its other readers. `whole` is told
    of the reply when this reader has all of it, `told` makes of an error what it is to this reader.
    """

    def __init__(
        self,
        request_id: str,
        of: AnswerStream | Kept,
        pieces: Pieces[StreamItem],
        *,
        own: bool = False,
        leave: Callable[[], None] = lambda: None,
        whole: Callable[[Reply], None] = lambda reply: None,
        told: Callable[[BaseException], BaseException] = lambda error: error,
    ) -> None:
        self.request_id, self.listening = request_id, False
        said = of.reply if isinstance(of, Kept) else of
        self.decision, self.model = said.decision, of.model
        self.fallback_from, self.corpus, self.role = said.fallback_from, said.corpus, said.role
        self.reply: Reply | None = None
        self._of, self._own, self._leave, self._whole = of, own, leave, whole
        self._pieces, self._following = pieces, pieces.follow(told)

    @property
    def attempts(self) -> tuple[Attempted, ...]:
        """Those that are this reader's own."""
        return self._of.attempts if self._own and not isinstance(self._of, Kept) else ()

    def items(self) -> AsyncIterator[StreamItem]:
        """Everything from the beginning; `Finished` is the last."""
        return self

    def __aiter__(self) -> GivenStream:
        return self

    async def __anext__(self) -> StreamItem:
        item = await anext(self._following)
        if type(item) is Finished and self._of.reply is not None:
            self.reply = self._of.reply if self._own else again(self._of.reply, self.request_id)
            self._whole(self._of.reply)
        return item

    async def aclose(self) -> None:
        """This reader has enough."""
        leave, self._leave = self._leave, lambda: None
        leave()

    def heard(self) -> Answer:
        """The answer with its words, also where they were passed on undecoded."""
        answer = self.reply.answer if self.reply is not None else Answer()
        if answer.text:
            return answer
        events = b"".join(piece.data for piece in self._pieces.pieces if type(piece) is Relayed)
        return msgspec.structs.replace(answer, text=text_of(events)) if events else answer
