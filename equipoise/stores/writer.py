"""One thread that writes what others put down, in batches; putting down costs an append."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from equipoise.stores.database import StoreError

T = TypeVar("T")
Flushed = Future[None]

# After a failed write: try again soon, then less and less often.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
# One transaction takes at most this much, so that other processes get their turn at the file.
LARGEST_BATCH = 5_000


class BatchWriter(Generic[T]):
    """Hands items to `write` in the order they came, a batch at a time, in a thread of its own.

    `write` stores a list whole or raises StoreError; then the same items come again, in the same order, until it
    succeeds or the writer is closed. `tidy` is called after each round that left nothing to write. `on_error` is told
    (in the writer's thread) when writing begins to fail. At most `capacity` items are held; `put` refuses more.
    """

    def __init__(
        self,
        write: Callable[[list[T]], None],
        *,
        batch_seconds: float,
        capacity: int,
        tidy: Callable[[], None] = lambda: None,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._write, self._tidy, self._on_error = write, tidy, on_error
        self._batch_seconds, self._capacity = batch_seconds, capacity
        self._items: deque[T | Flushed] = deque()
        self._held: list[T] = []
        self._awake = False
        self._due, self._hurry, self._closing = threading.Event(), threading.Event(), threading.Event()
        self.error: str | None = None
        self._thread = threading.Thread(target=self._run, name="equipoise-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Items put down and not yet durable (waiting calls of `flush` count as one each)."""
        return len(self._items) + len(self._held)

    def is_alive(self) -> bool:
        """Whether the thread runs; it ends only by `close`."""
        return self._thread.is_alive()

    def put(self, item: T) -> bool:
        """Take an item; False when memory is full or the writer closed. Never waits."""
        if len(self._items) + len(self._held) >= self._capacity or self._closing.is_set():
            return False
        self._items.append(item)
        # The writer clears `_awake` before it drains, so an append it misses always finds the flag down.
        if not self._awake:
            self._awake = True
            self._due.set()
        return True

    def flush(self) -> Flushed:
        """A future that is done when all put down before is durable; StoreError when a write failed meanwhile."""
        flushed: Flushed = Future()
        if not self.is_alive():
            flushed.set_exception(StoreError(self.error or "the store is closed"))
            return flushed
        self._items.append(flushed)
        self._hurry.set()
        self._due.set()
        return flushed

    def close(self, timeout: float = 10.0) -> list[T]:
        """Write what is left and stop; gives what could not be written within `timeout` seconds."""
        self._closing.set()
        self._hurry.set()
        self._due.set()
        self._thread.join(timeout)
        return self._held + [item for item in self._items if not isinstance(item, Future)]

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._due.wait()
                self._hurry.wait(self._batch_seconds)
                self._hurry.clear()
                self._due.clear()
                self._awake = False
                self._drain()
            self._drain()
        finally:
            self._stop()

    def _drain(self) -> None:
        pause = FIRST_PAUSE
        while self._items or self._held:
            flushes = self._take()
            if self._try(flushes):
                pause = FIRST_PAUSE
            elif self._closing.wait(pause):
                return
            else:
                pause = min(2 * pause, LONGEST_PAUSE)
        if self.error is None:
            self._attempt(self._tidy)

    def _take(self) -> list[Flushed]:
        flushes: list[Flushed] = []
        while self._items and len(self._held) < LARGEST_BATCH:
            item = self._items.popleft()
            if not isinstance(item, Future):
                self._held.append(item)
            elif item.set_running_or_notify_cancel():
                flushes.append(item)
        return flushes

    def _try(self, flushes: list[Flushed]) -> bool:
        done = not self._held or self._attempt(lambda: self._write(self._held))
        if done:
            self._held = []
        for flushed in flushes:
            if done:
                flushed.set_result(None)
            else:
                flushed.set_exception(StoreError(self.error))
        return done

    def _attempt(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except StoreError as error:
            if self.error is None:
                self._on_error(str(error))
            self.error = str(error)
            return False
        self.error = None
        return True

    def _stop(self) -> None:
        """Refuse what comes, and let nobody wait for ever: also when a fault of ours ends the thread."""
        if not self._closing.is_set():
            self.error = "the writer stopped by a fault"
        self._closing.set()
        for flushed in [item for item in self._items if isinstance(item, Future)]:
            self._items.remove(flushed)
            if flushed.set_running_or_notify_cancel():
                flushed.set_exception(StoreError(self.error or "the store is closed"))
