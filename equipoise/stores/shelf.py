"""What is kept in memory for a while, within a bound of bytes: whoever was not asked for the longest goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Keeps values with their sizes in bytes, at most `most_bytes` of them together; `gone` is told of each that goes.

    How old something may be is its owner's to say: what he finds too old he removes.
    """

    def __init__(self, most_bytes: int, gone: Callable[[K, V], None] = lambda key, value: None) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._gone = gone
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """What is kept there; it has been asked for, and stays longer."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def look(self, key: K) -> V | None:
        """What is kept there, without any say in how long it stays."""
        found = self._kept.get(key)
        return None if found is None else found[0]

    def first(self) -> tuple[K, V] | None:
        """What goes next."""
        return next(((key, value) for key, (value, _) in self._kept.items()), None)

    def put(self, key: K, value: V, size: int) -> bool:
        """Keep this in the place of what was there. False for what alone is more than there is room for."""
        self.remove(key)
        if size > self.most_bytes:
            return False
        self._kept[key] = value, size
        self.bytes += size
        while self.bytes > self.most_bytes:
            self.remove(next(iter(self._kept)))
        return True

    def remove(self, key: K) -> bool:
        """Let go of this; False where nothing was."""
        found = self._kept.pop(key, None)
        if found is None:
            return False
        self.bytes -= found[1]
        self._gone(key, found[0])
        return True

    def items(self) -> Iterator[tuple[K, V, int]]:
        """Keys, values and sizes, those asked for the longest ago first. Nothing may be put or removed meanwhile."""
        return ((key, value, size) for key, (value, size) in self._kept.items())
