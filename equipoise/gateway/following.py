"""Something that is made once, piece by piece, and followed from its beginning by any number of readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pieces(Generic[T]):
    """The pieces there are so far. One maker adds them and ends them once; readers come at any time, and see all."""

    def __init__(self) -> None:
        self.pieces: list[T] = []
        self.over = False
        self.error: BaseException | None = None
        self._more = asyncio.Event()

    def add(self, piece: T) -> None:
        """One more; every reader wakes."""
        self.pieces.append(piece)
        self.wake()

    def end(self, error: BaseException | None = None) -> None:
        """There will be no more. With an error, readers meet it after the last piece."""
        if not self.over:
            self.over, self.error = True, error
            self.wake()

    @classmethod
    def whole(cls, pieces: Iterable[T]) -> Pieces[T]:
        """Pieces that are all there."""
        found: Pieces[T] = cls()
        found.pieces, found.over = list(pieces), True
        return found

    async def change(self) -> None:
        """Wait for a piece or the end."""
        await self._more.wait()

    def follow(self, told: Callable[[BaseException], BaseException] = lambda error: error) -> Following[T]:
        """A reader, at the beginning; `told` is how it is told of an error."""
        return Following(self, told)

    def wake(self) -> None:
        """Have the readers look again."""
        self._more.set()
        self._more = asyncio.Event()


class Following(Generic[T]):
    """One reader. What is made does not depend on it: nothing has to be closed when it stops early."""

    def __init__(self, of: Pieces[T], told: Callable[[BaseException], BaseException]) -> None:
        self._of, self._told, self._at = of, told, 0

    def __aiter__(self) -> Following[T]:
        return self

    async def __anext__(self) -> T:
        of = self._of
        while self._at == len(of.pieces):
            if of.over:
                raise StopAsyncIteration if of.error is None else self._told(of.error)
            await of.change()
        self._at += 1
        return of.pieces[self._at - 1]

    async def aclose(self) -> None:
        """Stop early; others read on."""
        self._at = len(self._of.pieces)
