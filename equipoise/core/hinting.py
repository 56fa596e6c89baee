"""Evidence of other processes about a backend: what one breaker has seen is as good for the others."""

from __future__ import annotations

import msgspec

from equipoise.core.breaker import CircuitBreaker
from equipoise.core.events import BackendChanged
from equipoise.core.selection import Selection


class Hint(msgspec.Struct, frozen=True):
    """A breaker that opened (or closed), on evidence that is as good elsewhere or by an operator's word (`by_hand`).

    `seconds` until it may be probed; None until it is closed by hand.
    """

    backend_id: str
    open: bool
    reason: str
    seconds: float | None = 0.0
    refused: bool = False
    by_hand: bool = False


def hint_of(selection: Selection, backend_id: str, *, opened: bool, by_hand: bool) -> Hint:
    """What others should know of a breaker that has just changed."""
    breaker, now = selection.backends[backend_id].breaker, selection.clock.monotonic()
    seconds = None if breaker.held_open else breaker.seconds_until_probe(now)
    return Hint(backend_id, opened, breaker.reason, seconds, breaker.refused, by_hand)


def hinted(selection: Selection, hint: Hint) -> None:
    """Go by another process's breaker.

    One that is open already, or probing, stays so at a first word of trouble; an operator's word there is one here, too.
    """
    backend = selection.backends.get(hint.backend_id)
    if backend is None:
        return
    breaker, now = backend.breaker, selection.clock.monotonic()
    was = breaker.state
    if hint.by_hand:
        _by_hand(breaker, hint, now)
    elif hint.open:
        breaker.hinted(now, hint.reason, hint.seconds or 0.0, refused=hint.refused)
    elif breaker.believed_open:
        breaker.close(now, hint.reason)
        backend.health.recovered(now)
    if breaker.state is not was:
        for observer in selection.observers:
            observer(BackendChanged(hint.backend_id, breaker.state.value, breaker.reason, selection.clock.wall()))


def _by_hand(breaker: CircuitBreaker, hint: Hint, now: float) -> None:
    if hint.open:
        breaker.open(now, hint.reason, hint.seconds)
    else:
        breaker.close(now, hint.reason)
