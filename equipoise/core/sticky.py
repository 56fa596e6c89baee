"""A session stays with its backend: rendezvous hashing with bounded load (Mirrokni, Thorup and Zadimoghaddam)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from hashlib import blake2b

from equipoise.core.model import Candidate, Chance, Choice, Request
from equipoise.core.policies.comparing import good_enough
from equipoise.core.ring import ROOM

SMALLEST = 2.0**-64


def at_home(candidates: Sequence[Candidate], request: Request) -> Choice:
    """Return the session's backend: the first in the session's own order that is not beyond its bound.

    The order depends on the session and the ids only, so backends that come or go move only the sessions they gain or
    lose; over many sessions shares follow the weights. Deterministic given the session, hence its probability is 1.
    """
    compared = good_enough(candidates, request) or candidates
    weights = _weights(compared)
    order = {c.backend_id: _draw(request, c.backend_id, weights[c.backend_id]) for c in compared}
    ranked = sorted(compared, key=lambda c: (-order[c.backend_id], c.backend_id))
    bounds = _bounds(ranked, weights)
    chosen = next(c for c in ranked if c.in_flight < bounds[c.backend_id])
    if chosen is ranked[0]:
        return Choice(chosen.backend_id, order, "its session stays here")
    return Choice(chosen.backend_id, order, f"its session's backend {ranked[0].backend_id} has more than its share")


def chance_of(request: Request) -> Chance:
    """Return a generator that gives the same to every request of a session."""
    return random.Random(session_hash(request))


def session_hash(request: Request) -> int:
    """Return 64 bits that are the same for every request of a session of a tenant."""
    return _hash(request, "")


def _weights(candidates: Sequence[Candidate]) -> dict[str, float]:
    weights = {c.backend_id: c.weight for c in candidates}
    return weights if any(weights.values()) else dict.fromkeys(weights, 1.0)


def _bounds(candidates: Sequence[Candidate], weights: dict[str, float]) -> dict[str, int]:
    """Return how many requests each may carry; together they have room for one more than there are."""
    total, heavy = sum(c.in_flight for c in candidates) + 1, sum(weights.values())
    return {name: math.ceil(ROOM * total * weight / heavy) for name, weight in weights.items()}


def _draw(request: Request, backend_id: str, weight: float) -> float:
    """Return w / -ln(u): the greatest of these belongs to each backend with probability w / sum of w."""
    return weight / -math.log(max(SMALLEST, _hash(request, backend_id) * SMALLEST))


def _hash(request: Request, backend_id: str) -> int:
    name = f"{request.tenant}\0{request.session}\0{backend_id}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest())
