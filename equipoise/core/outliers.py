"""Ejects who fails far more than the others, though not enough for its breaker: a sink that answers 20 % with errors at once
draws traffic, because it is never busy.

Envoy compares with the mean and deviation of at least five hosts of a hundred requests each, so it never acts on two to
five answer engines. Here each backend is compared with all others together (two-proportion z-test), which works from
two on. At most half may be out at a time, and never all but none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from equipoise.core.backend import Backend
from equipoise.core.breaker import BreakerState

LEAST_CALLS = 20
LEAST_DIFFERENCE = 0.1
CERTAIN = 3.0
MOST_EJECTED = 0.5
KEPT_PACE = 1.5


class Outlier(msgspec.Struct, frozen=True):
    """Who is to be ejected, and why; `slow` when it answers, but far slower than it used to."""

    backend: Backend
    reason: str
    slow: bool = False


def find_outlier(backends: Iterable[Backend]) -> Outlier | None:
    """The one to eject now; None when nobody stands out or as many as may be are out already."""
    closed, out = [], 0
    for backend in backends:
        if backend.breaker.state is BreakerState.CLOSED and not backend.health.down:
            closed.append(backend)
        else:
            out += 1
    if out + 1 > MOST_EJECTED * (len(closed) + out) or len(closed) < 2:
        return None
    judged = [backend for backend in closed if backend.breaker.options.enabled]
    return _most_failing(judged) or _sluggish(judged)


def _most_failing(backends: list[Backend]) -> Outlier | None:
    calls = sum(backend.breaker.results[0] for backend in backends)
    failures = sum(backend.breaker.results[1] for backend in backends)
    found, certainty = None, CERTAIN
    for backend in backends:
        own_calls, own_failures = backend.breaker.results
        others = failures - own_failures, calls - own_calls
        score = _stands_out(own_failures, own_calls, *others)
        if score > certainty:
            certainty = score
            told = f"{own_failures} of its last {own_calls} failed, {others[0]} of {others[1]} elsewhere"
            found = Outlier(backend, told)
    return found


def _sluggish(backends: list[Backend]) -> Outlier | None:
    """One that takes several times its usual time while the others keep theirs: where all are slow, nobody is an outlier."""
    slow = [backend for backend in backends if backend.breaker.sluggish]
    if len(slow) != 1 or any(b.breaker.pace > KEPT_PACE for b in backends if b is not slow[0]):
        return None
    return Outlier(slow[0], f"its last answers took {slow[0].breaker.pace:.1f} times the usual time", slow=True)


def _stands_out(failures: int, calls: int, other_failures: int, other_calls: int) -> float:
    """The z of two shares: how many standard errors this one is above the others'; 0 with too little to go by."""
    if min(calls, other_calls) < LEAST_CALLS:
        return 0.0
    own, others = failures / calls, other_failures / other_calls
    if own - others < LEAST_DIFFERENCE:
        return 0.0
    pooled = (failures + other_failures) / (calls + other_calls)
    return (own - others) / math.sqrt(pooled * (1.0 - pooled) * (1.0 / calls + 1.0 / other_calls))
