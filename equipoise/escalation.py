"""Holds a whole answer to the floor of its route: below it a better backend is asked, and the better answer is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from equipoise.core.attempts import Attempts, Unanswered
from equipoise.core.events import AnswerEscalated, Event
from equipoise.core.model import Answer
from equipoise.core.selection import Lease


class Given(NamedTuple):
    """An answer, who gave it, and how good it is as far as can be told at once."""

    lease: Lease
    answer: Answer
    quality: float | None = None


async def held_to_the_floor(
    attempts: Attempts,
    given: Given,
    floor: float,
    ask: Callable[[], Awaitable[Given]],
    tell: Callable[[Event], None],
) -> tuple[Given, tuple[str, float] | None]:
    """The best answer that could be had within the attempts of the request, and whose was not good enough, if any.

    `ask` makes the next attempts and looks at the answer. Where nobody better answers, the first answer is given: a
    poor answer that was paid for is worth more than an error.
    """
    best, first = given, given
    latest = given
    while latest.quality is not None and latest.quality < floor and attempts.escalate(latest.quality):
        tell(_event(attempts, latest, floor))
        try:
            latest = await ask()
        except Unanswered:
            break
        best = max(best, latest, key=lambda one: -1.0 if one.quality is None else one.quality)
    attempts.lease = best.lease
    poor = first.quality if best is not first else None
    return best, None if poor is None else (first.lease.backend_id, poor)


def _event(attempts: Attempts, given: Given, floor: float) -> AnswerEscalated:
    return AnswerEscalated(
        request_id=attempts.request.id,
        route=attempts.request.route,
        backend_id=given.lease.backend_id,
        quality=given.quality or 0.0,
        floor=floor,
        wall=attempts.wall(),
    )
