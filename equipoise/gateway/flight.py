"""One question on its way to an answer, and all who wait for it. When the last of them is gone it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from equipoise.backends.base import StreamItem
from equipoise.core.attempts import Interrupted
from equipoise.gateway.following import Pieces

T = TypeVar("T")


class Flight(Generic[T]):
    """Its head is the whole answer, or an opened stream whose pieces follow.

    Whoever takes the `head` waits for it, and must `leave` when he has what he wanted. `begin` it once; `land` is to be
    called when its task is over, however that ended.
    """

    def __init__(self) -> None:
        self.pieces: Pieces[StreamItem] = Pieces()
        self._head: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Set out."""
        self._task = asyncio.get_running_loop().create_task(work, name="cached question")
        return self._task

    def answered(self, head: T) -> None:
        """The head is there."""
        if not self._head.done():
            self._head.set_result(head)

    async def head(self) -> T:
        """Wait for it. Raises what the question came to if it is no answer."""
        self.hold()
        try:
            return await asyncio.shield(self._head)
        except BaseException:
            self.leave()
            raise

    def hold(self) -> None:
        """One more waits."""
        self._readers += 1

    def leave(self) -> None:
        """One has enough, or gave up."""
        self._readers -= 1
        if self._readers == 0 and self._task is not None and not self._task.done():
            self._task.cancel()

    def land(self) -> None:
        """It is over: tell everybody who still waits."""
        error = self._error()
        self.pieces.end(error)
        if not self._head.done() and error is not None:
            self._head.set_exception(error)
            self._head.exception()  # those who wait have it; where nobody does, nothing is amiss

    def _error(self) -> BaseException | None:
        assert self._task is not None
        if self._task.cancelled():
            return Interrupted("stream_interrupted", "The question in flight was given up; ask again.", retry_after=1.0)
        return self._task.exception()
