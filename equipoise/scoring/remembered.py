"""What is remembered of answers that went out, so that a later opinion finds the one it is about. Never their words."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from equipoise.scoring.opinions import Opinion


class Known(msgspec.Struct):
    """One answer: whose it was, how the rules scored it (None: not sampled), and the opinions of it."""

    request_id: str
    attempt: int
    backend_id: str
    route: str
    tenant: str
    kind: str
    role: str
    score: float | None = None
    opinions: dict[str, Opinion] = {}


class Recent:
    """The newest answers by request id, at most `capacity`; the oldest are forgotten."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[str, Known] = OrderedDict()

    def add(self, known: Known) -> None:
        """Remember one; a second request under the same id takes the place of the first."""
        self._known[known.request_id] = known
        self._known.move_to_end(known.request_id)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def get(self, request_id: str) -> Known | None:
        """The answer, or None when it is no longer remembered."""
        return self._known.get(request_id)

    def __len__(self) -> int:
        return len(self._known)
