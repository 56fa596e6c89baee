"""What observers are told, after the fact. Whoever adds a feature that others may want to hear of adds its event here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from equipoise.core.model import Attempt, Decision, NanoUSD

EJECTED = "ejected"


class Event(msgspec.Struct, frozen=True, tag=True):
    """Something observers are told after the fact."""


class AttemptBegan(Event, frozen=True):
    """An attempt was leased and is about to be sent: what must be known of it should its end never be seen."""

    request_id: str
    number: int
    wall: float
    tenant: str
    backend_type: str
    model: str
    stream: bool
    decision: Decision


class AttemptEnded(Event, frozen=True):
    """An attempt was settled."""

    attempt: Attempt


class RequestEnded(Event, frozen=True):
    """A request left the gateway: status as the client saw it, seconds in all, cost over its attempts.

    `overhead` is the seconds of it that were the gateway's own, where that is known; `cache` says what the response
    cache did: hit, stale, joined, miss, bypass, or nothing where there is none.
    """

    request_id: str
    route: str
    tenant: str
    status: int
    duration: float
    attempts: int
    cost: NanoUSD
    backend_id: str | None
    stream: bool
    error_code: str | None = None
    interrupted: bool = False
    overhead: float | None = None
    cache: str = ""


class AnswerReused(Event, frozen=True, kw_only=True):
    """A question was answered without asking anybody: by an answer that was kept, or that another question waited for.

    `source` is the request that was answered by `backend_id` then, `age` the seconds since, `saved` what its answer did
    cost: nothing is booked for this one.
    """

    request_id: str
    wall: float
    tenant: str
    key: str
    route: str
    result: str
    backend_id: str
    source: str
    age: float
    saved: NanoUSD


class BackendChanged(Event, frozen=True):
    """A backend's breaker or health changed state, or (`ejected`) it was put aside as an outlier."""

    backend_id: str
    state: str
    reason: str
    wall: float


class AnswerScored(Event, frozen=True, kw_only=True):
    """An answer's quality became known, or better known, some time after it went out.

    `quality` is calibrated and lies in [0, 1], `variance` is its own; `source` is `proxy`, `judge` or `feedback`, each
    replacing the ones before. `dimensions` holds the parts that could be computed, `attempt` the number of the attempt
    that answered. `by` names the kind of feedback (rating, expert, automated), `score` what the rules gave before any
    calibration (None: they never saw it); `replaces` and `replaced_variance` are what was told of this answer before, None
    the first time.
    """

    request_id: str
    attempt: int
    backend_id: str
    route: str
    tenant: str
    kind: str
    role: str
    quality: float
    variance: float
    source: str
    dimensions: dict[str, float] = {}
    wall: float = 0.0
    by: str = ""
    score: float | None = None
    replaces: float | None = None
    replaced_variance: float = 0.0


class AnswerEscalated(Event, frozen=True, kw_only=True):
    """An answer was below the floor of its route and another backend was asked instead of giving it."""

    request_id: str
    route: str
    backend_id: str
    quality: float
    floor: float
    wall: float


class QualityCrossed(Event, frozen=True, kw_only=True):
    """The believed quality of a backend fell below the floor of a route, or rose above it again."""

    backend_id: str
    route: str
    quality: float
    error: float
    floor: float
    below: bool
    wall: float


class BudgetCrossed(Event, frozen=True, kw_only=True):
    """A budget passed one of its alert shares, or was exceeded by an upstream that billed more than its maximum.

    Amounts are in the budget's unit (nano-dollars, requests or tokens); `exhausted_at` is the forecast, Unix seconds.
    """

    budget: str
    unit: str
    share: float
    spent: int
    reserved: int
    limit: int
    wall: float
    renews_at: float | None = None
    exhausted_at: float | None = None
    overrun: bool = False


class CanaryDecided(Event, frozen=True, kw_only=True):
    """A canary was started, moved on, held, paused, rolled back or finished, and on what evidence; `share` of keys, 0 to 1."""

    canary: str
    verdict: str
    share: float
    message: str
    evidence: dict[str, float]
    wall: float


Observer: TypeAlias = Callable[[Event], None]

F = TypeVar("F", bound=Callable[..., Any])


def hears(*kinds: type[Event]) -> Callable[[F], F]:
    """Says of an observer which events it is for: it need not be told of others. One that says nothing is told of all."""

    def said(observer: F) -> F:
        observer.hears = kinds  # type: ignore[attr-defined]
        return observer

    return said


class Audience:
    """Who among observers is told of which kind of event, found once until there are other observers.

    The list may change at any time and by anybody, so it is compared with what it was: of the same observers that is
    cheaper than one call too many.
    """

    def __init__(self) -> None:
        self._present: list[Observer] = []
        self._listening: dict[type[Event], list[Observer]] = {}

    def of(self, kind: type[Event], observers: Sequence[Observer]) -> list[Observer]:
        """Those that are told of this kind, in their order."""
        if observers != self._present:
            self._present, self._listening = list(observers), {}
        listening = self._listening.get(kind)
        if listening is None:
            listening = [observer for observer in observers if issubclass(kind, getattr(observer, "hears", Event))]
            self._listening[kind] = listening
        return listening
