"""A streamed reply that never lies about its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from equipoise.backends.base import BackendError, Finished, Relayed, StreamItem, TextDelta
from equipoise.backends.openai_stream import text_of
from equipoise.core.accounting import answered, failed
from equipoise.core.attempts import Attempted, Attempts, Interrupted
from equipoise.core.gaps import Gaps
from equipoise.core.model import Answer, BackendType, Outcome, Usage, Verdict
from equipoise.core.pricing import estimate_tokens
from equipoise.core.selection import Lease
from equipoise.http import Sink, pour
from equipoise.reply import Decided, Reply, reply_of

MOST_HEARD = 262_144
"""Bytes of a stream passed on undecoded that are kept for those who want to know how good it was."""


CROWD = 32
"""Streams whose ends take turns. Beyond, with 600 of four pieces at once, turns cost a fifth of the throughput."""


class OneByOne:
    """Lets one through in each turn of the event loop, or all of a crowd.

    Streams that end together have their bills made so: who waits for a first word goes between who has all but the end.
    Of more than CROWD those who come would be put before those who are done again and again; then all go at once.
    """

    def __init__(self) -> None:
        self._waiting = deque[asyncio.Future[None]]()

    async def turn(self) -> None:
        """Wait for a turn of one's own; the next one of the loop, where nobody else waits."""
        loop = asyncio.get_running_loop()
        mine = loop.create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            loop.call_soon(self._next, loop)
        await mine

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(1 if len(self._waiting) <= CROWD else len(self._waiting)):
            mine = self._waiting.popleft()
            if not mine.done():  # or whoever waited was cancelled
                mine.set_result(None)
        if self._waiting:
            loop.call_soon(self._next, loop)


class AnswerStream(Decided):
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
        ends: OneByOne,
    ) -> None:
        self.request_id, self.decision = attempts.request.id, lease.decision
        self.reply: Reply | None = None
        self._attempts, self._lease, self._items, self._pending = attempts, lease, items, first
        self._began, self._first_at = began, first_at
        self._done, self._ends = done, ends
        self._open, self._has_pending = True, True
        self._passed_on = 0
        self.listening = False
        self._relayed: list[bytes] = []
        self._words: str | None = None
        self._relayed_bytes = 0
        self._gaps, self._now = Gaps(first_at, first_at), attempts.now
        self._take: Sink[StreamItem] | None = None

    @property
    def backend_type(self) -> BackendType:
        """What kind of engine it is."""
        return self._lease.backend.options.type

    @property
    def model(self) -> str:
        """The model asked for there, as configured; where none is, the backend goes by its own name."""
        return self._lease.backend.options.model or self.backend_id

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
            self._open = False  # the upstream is left before its place is given to another
            try:
                await close_items(self._items)
            finally:
                self._fail(BackendError(Verdict.IGNORED, "the caller went away", code="cancelled"), interrupted=False)

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
            try:
                await self._ends.turn()
            finally:
                self._finish(item.answer)
        else:
            self._passed(item)
        return item

    def pour_into(self, take: Sink[StreamItem]) -> None:
        """Have items that come while somebody waits for one handed to `take`, if the engine's are passed on as they are."""
        self._take = take
        pour(self._items, self._pour)

    def _pour(self, item: StreamItem) -> Awaitable[None] | None:
        self._gaps.came(self._now())
        self._passed(item)
        return None if self._take is None else self._take(item)

    def _passed(self, item: StreamItem) -> None:
        """Count what is passed on, and keep it for whoever listens."""
        if type(item) is Relayed:
            self._passed_on += item.data.count(b"\n\n")
            if self.listening and self._relayed_bytes < MOST_HEARD:
                self._relayed.append(item.data)
                self._relayed_bytes += len(item.data)
        elif type(item) is TextDelta:
            self._passed_on += estimate_tokens(len(item.text))

    def heard(self) -> Answer:
        """The answer with its words, if it was listened to: of a stream passed on undecoded, what was kept of it."""
        answer = self.reply.answer if self.reply is not None else Answer()
        if self._relayed:
            self._words, self._relayed = text_of(b"".join(self._relayed)), []
        return answer if answer.text or not self._words else msgspec.structs.replace(answer, text=self._words)

    async def _from_upstream(self) -> StreamItem:
        try:
            item = await anext(self._items)
            self._gaps.came(self._now())
            return item
        except BackendError as error:
            raise self._interrupted(error) from error
        except StopAsyncIteration:
            raise self._interrupted(BackendError(Verdict.FAILURE, "the stream ended without its end")) from None
        except BaseException:
            await self.aclose()
            raise

    def _finish(self, answer: Answer) -> None:
        self._open = False
        now = self._now()
        self._attempts.settle(self._lease, answered(self._lease, answer, now, self._first_at, self._gaps))
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
            self._now(),
            verdict=error.verdict,
            error=error.plain,
            said=str(error),
            code=error.code,
            status=error.status,
            retry_after=error.retry_after,
            usage=error.usage or passed_on,
            metered_cost=error.metered_cost,
            first_token=self._first_at,
            interrupted=interrupted,
            gaps=self._gaps,
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
        await close_items(items)
        raise


async def close_items(items: AsyncIterator[StreamItem]) -> None:
    """Close a stream's iterator, whereupon its connection is closed."""
    aclose = getattr(items, "aclose", None)
    if aclose is not None:
        await aclose()
