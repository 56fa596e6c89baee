"""Where the sessions of many backends are at home: consistent hashing with bounded load, without ranking them all.

Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2018): each backend stands at some places of
a ring, a session walks from its own place to the first backend that carries less than its bound.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from hashlib import blake2b

from equipoise.core.backend import Backend

PLACES = 80
"""Places of a backend of mean weight: shares are then within about 1 / sqrt(80) = 11 % of the weights."""
ROOM = 1.25
"""Nobody carries more than this multiple of its fair share."""


class Ring:
    """Backends on a ring, each at places in proportion to its weight. Made once, walked for every question."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.backends = backends
        self._heavy = sum(backend.weight for backend in backends)
        mean = self._heavy / len(backends) or 1.0
        marks = sorted(
            (_place(f"{backend.id}\0{number}"), index)
            for index, backend in enumerate(backends)
            for number in range(_places(backend.weight / mean))
        )
        self._points, self._owners = [point for point, _ in marks], [owner for _, owner in marks]

    def home(self, session: int, free: Callable[[Backend], bool]) -> Backend | None:
        """The first free backend from the session's place on that is within its bound; None when nobody is free.

        `session` is its hash, 64 bits. Bounds have room for one more than is in flight, but only the free can take it:
        when all of those are beyond theirs, the first free one answers.
        """
        total = sum(backend.load.in_flight for backend in self.backends) + 1
        first: Backend | None = None
        asked: set[int] = set()
        start, places = bisect(self._points, session), len(self._points)
        for step in range(places):
            owner = self._owners[(start + step) % places]
            if owner in asked:
                continue
            asked.add(owner)
            backend = self.backends[owner]
            if not free(backend):
                continue
            if backend.load.in_flight < math.ceil(ROOM * total * self._share(backend)):
                return backend
            first = first or backend
        return first

    def _share(self, backend: Backend) -> float:
        return backend.weight / self._heavy if self._heavy else 1.0 / len(self.backends)


def _places(relative_weight: float) -> int:
    return max(1, round(PLACES * relative_weight))


def _place(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
