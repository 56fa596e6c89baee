"""What a caller gets: a whole reply, or a stream that never lies about its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec

from equipoise.backends.base import BackendError, Finished, Relayed, StreamItem, TextDelta
from equipoise.core.accounting import answered, failed
from equipoise.core.attempts import Attempted, Attempts, Interrupted
from equipoise.core.model import (
    Answer,
    BackendType,
    Citation,
    CostSource,
    Decision,
    NanoUSD,
    Outcome,
    Usage,
    Verdict,
    dollars,
)
from equipoise.core.pricing import estimate_tokens
from equipoise.core.selection import Lease

WEAKEST_LAST = (CostSource.METERED, CostSource.PRICED, CostSource.ESTIMATED, CostSource.UNPRICED)


class Reply(msgspec.Struct, kw_only=True):
    """An answer with its bill and its reason.

    `cost` is the sum over all attempts in nano-dollars, `cost_source` the weakest of theirs; `duration` and `overhead`
    (what was not spent waiting for an upstream) are seconds. `fallback_from` names who should have answered.
    `role` is the side of a migration that answered, or "answer" where there is none.
    """

    request_id: str
    answer: Answer
    decision: Decision
    backend_type: BackendType
    attempts: tuple[Attempted, ...]
    cost: NanoUSD
    cost_source: CostSource
    duration: float
    overhead: float
    fallback_from: str | None = None
    corpus: str | None = None
    role: str = "answer"

    @property
    def text(self) -> str:
        """The words of the answer."""
        return self.answer.text

    @property
    def citations(self) -> list[Citation]:
        """The sources that came with the answer."""
        return self.answer.citations

    @property
    def usage(self) -> Usage:
        """Tokens of the attempt that answered."""
        return self.answer.usage

    @property
    def backend_id(self) -> str:
        """Who answered."""
        return self.decision.backend_id

    @property
    def strategy(self) -> str:
        """What chose."""
        return self.decision.strategy

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        return self.decision.reason

    @property
    def cost_usd(self) -> str:
        """The cost in exact decimal dollars."""
        return dollars(self.cost)


def reply_of(attempts: Attempts, lease: Lease, answer: Answer, duration: float) -> Reply:
    """Put a reply together once the answering attempt was settled."""
    made = tuple(attempts.made)
    sources = {attempt.cost_source for attempt in made if attempt.cost or attempt is made[-1]}
    return Reply(
        request_id=attempts.request.id,
        answer=answer,
        decision=lease.decision,
        backend_type=lease.backend.options.type,
        attempts=made,
        cost=attempts.cost,
        cost_source=max(sources, key=WEAKEST_LAST.index),
        duration=duration,
        overhead=max(0.0, duration - sum(attempt.duration for attempt in made)),
        fallback_from=attempts.fallback_from,
        corpus=lease.backend.options.corpus,
        role=attempts.request.role,
    )


class AnswerStream:
    """An answer as it comes. `items()` gives what the engine sends, iterating itself gives pieces of text.

    Raises Interrupted when the upstream breaks off; whoever stops early must `aclose` it, whereupon the upstream is
    closed and what it may have billed is booked. After the last item `reply` holds the bill.
    """

    def __init__(
        self,
        attempts: Attempts,
        lease: Lease,
        items: AsyncIterator[StreamItem],
        first: StreamItem,
        began: float,
        first_at: float,
        done: Callable[[], None],
    ) -> None:
        self.request_id = attempts.request.id
        self.reply: Reply | None = None
        self._attempts, self._lease, self._items, self._pending = attempts, lease, items, first
        self._began, self._first_at = began, first_at
        self._done = done
        self._open, self._has_pending = True, True
        self._passed_on = 0

    @property
    def decision(self) -> Decision:
        """Why this backend."""
        return self._lease.decision

    @property
    def backend_id(self) -> str:
        """Who answers."""
        return self._lease.backend_id

    @property
    def backend_type(self) -> BackendType:
        """What kind of engine it is."""
        return self._lease.backend.options.type

    @property
    def model(self) -> str:
        """The model asked for there, as configured."""
        return self._lease.backend.options.model

    @property
    def strategy(self) -> str:
        """What chose."""
        return self.decision.strategy

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        return self.decision.reason

    @property
    def attempts(self) -> tuple[Attempted, ...]:
        """The attempts that are over; the present one joins them at the end."""
        return tuple(self._attempts.made)

    @property
    def fallback_from(self) -> str | None:
        """Who should have answered."""
        return self._attempts.fallback_from

    @property
    def corpus(self) -> str | None:
        """The documents asked, where the backend names them."""
        return self._lease.backend.options.corpus

    @property
    def role(self) -> str:
        """Which side of a migration answers."""
        return self._attempts.request.role

    def when_over(self, callback: Callable[[], None]) -> None:
        """Have this called once the stream was settled, however it ended."""
        done = self._done

        def both() -> None:
            done()
            callback()

        self._done = both

    def items(self) -> AsyncIterator[StreamItem]:
        """Everything the engine sends; `Finished` is the last."""
        return _Items(self)

    def __aiter__(self) -> AsyncIterator[str]:
        return self._text()

    async def aclose(self) -> None:
        """Stop early: closes the upstream and books what it may have billed. Does nothing after the end."""
        if self._open:
            self._fail(BackendError(Verdict.IGNORED, "the caller went away", code="cancelled"), interrupted=False)
            await _close(self._items)

    async def next_item(self) -> StreamItem:
        """The next item; StopAsyncIteration after the last one."""
        if not self._open:
            raise StopAsyncIteration
        if self._has_pending:
            self._has_pending = False
            item = self._pending
        else:
            item = await self._from_upstream()
        if type(item) is Finished:
            self._finish(item.answer)
        elif type(item) is TextDelta:
            self._passed_on += estimate_tokens(len(item.text))
        elif type(item) is Relayed:
            self._passed_on += item.data.count(b"\n\n")
        return item

    async def _from_upstream(self) -> StreamItem:
        try:
            return await anext(self._items)
        except BackendError as error:
            raise self._interrupted(error) from error
        except StopAsyncIteration:
            raise self._interrupted(BackendError(Verdict.FAILURE, "the stream ended without its end")) from None
        except BaseException:
            await self.aclose()
            raise

    def _finish(self, answer: Answer) -> None:
        self._open = False
        now = self._attempts.now()
        self._attempts.settle(self._lease, answered(self._lease, answer, now, self._first_at))
        self.reply = reply_of(self._attempts, self._lease, answer, now - self._began)
        self._done()

    def _interrupted(self, error: BackendError) -> Interrupted:
        return self._attempts.interrupted(self._fail(error, interrupted=True))

    def _fail(self, error: BackendError, *, interrupted: bool) -> Outcome:
        """Book what was passed on, unless the upstream reported better."""
        self._open = False
        input_tokens = self._lease.backend.input_tokens(self._attempts.request)
        passed_on = Usage(input_tokens=input_tokens, output_tokens=self._passed_on, estimated=True)
        outcome = failed(
            self._lease,
            self._attempts.now(),
            verdict=error.verdict,
            error=str(error),
            code=error.code,
            status=error.status,
            retry_after=error.retry_after,
            usage=error.usage or passed_on,
            metered_cost=error.metered_cost,
            first_token=self._first_at,
            interrupted=interrupted,
        )
        self._attempts.settle(self._lease, outcome)
        self._done()
        return outcome

    async def _text(self) -> AsyncIterator[str]:
        try:
            async for item in self.items():
                if isinstance(item, TextDelta):
                    yield item.text
        finally:
            await self.aclose()


class _Items:
    """An iterator that closes its stream even if nobody ever took an item from it (an async generator would not)."""

    __slots__ = ("_stream",)

    def __init__(self, stream: AnswerStream) -> None:
        self._stream = stream

    def __aiter__(self) -> _Items:
        return self

    async def __anext__(self) -> StreamItem:
        return await self._stream.next_item()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def first_of(items: AsyncIterator[StreamItem]) -> StreamItem:
    """The first item of a stream; one that ends without any is a failure like another. Closes it if there is none."""
    try:
        return await anext(items)
    except StopAsyncIteration:
        raise BackendError(Verdict.FAILURE, "the stream ended before it began") from None
    except BaseException:
        await _close(items)
        raise


async def _close(items: AsyncIterator[StreamItem]) -> None:
    aclose = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()
